package delivery

import (
	"encoding/hex"
	"math/rand/v2"
)

// traceparent returns what an attempt carries (W3C Trace Context, section 3.2):
// the trace of the request that published the event, and an id of its own. It
// returns "" for a trace that is none.
func traceparent(published string) string {
	// 00-<32 digits of the trace>-<16 of the parent>-<2 of flags>
	const parent, flags, size = 36, 52, 55
	if len(published) != size {
		return ""
	}
	var id [8]byte
	for i := range id {
		id[i] = byte(1 + rand.IntN(255)) //nolint:gosec // it is no secret
	}
	return published[:parent] + hex.EncodeToString(id[:]) + published[flags:]
}
