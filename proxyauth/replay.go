package proxyauth

import "github.com/f737063d/caddy-connector/internal/replay"

const (
	// maxSkew is how far, in seconds, the time of a signature may be from ours.
	maxSkew = 300

	// maxNonces bounds the memory for nonces to about 60 MB. They are held for
	// 5 to 6 minutes, so it is enough for 2,900 requests a second all that time.
	maxNonces = 1 << 20
)

// replays is a package variable so that a config reload forgets nothing, and a
// request that one site has taken is not taken by another of this process.
var replays = replay.New(maxNonces)

// keyOf returns a nonce followed by the id of its key.
func keyOf(params signatureParams) (key replay.Key) {
	copy(key[:nonceSize], params.nonce[:])
	copy(key[nonceSize:], params.keyID)
	return key
}
