package receiver

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// maxReplays bounds the memory for ids and timestamps to about 60 MB. With one
// secret and the default tolerance it is enough for 2,900 webhooks a second.
const maxReplays = 1 << 20

// replays is a package variable so that a config reload forgets nothing, and a
// webhook that one site has taken is not taken by another of this process.
var replays = replay.New(maxReplays)

// webhook is one that was verified.
type webhook struct {
	id, timestamp string
	key           int // the index of what it was verified with
}

// receive verifies a request, which keeps its body, or returns why it cannot.
// The order matters: only what is in time makes us hold a body in memory, and
// only what was signed makes us remember an id.
func (h *Handler) receive(r *http.Request) (webhook, *problem.Problem) {
	tolerance := time.Duration(h.Tolerance)
	m, err := signature.Parse(r.Header, h.names)
	if err == nil {
		err = m.InTime(h.now(), tolerance)
	}
	if err != nil {
		return webhook{}, problemOf(err)
	}
	body, refusal := holdBody(r, h.MaxBody)
	if refusal != nil {
		return webhook{}, refusal
	}
	key, err := m.Match(body, h.keys...)
	if err != nil {
		return webhook{}, problemOf(err)
	}
	got := webhook{m.ID, strconv.FormatInt(m.Timestamp, 10), key}
	skew := int64(tolerance / time.Second)
	switch h.replays.Add(m.Timestamp, skew, h.now, h.identities.of(got)...) {
	case replay.Expired: // while the body was read
		return webhook{}, errExpired
	case replay.Replayed:
		return webhook{}, errReplayed
	case replay.Full:
		return webhook{}, errFull
	}
	return got, nil
}

// receiveHub is receive with HubSignature.
func (h *Handler) receiveHub(r *http.Request) (webhook, *problem.Problem) {
	sum, err := signature.ParseHub(r.Header)
	if err != nil {
		return webhook{}, problemOf(err)
	}
	body, refusal := holdBody(r, h.MaxBody)
	if refusal != nil {
		return webhook{}, refusal
	}
	key, err := sum.Match(body, h.hubSecrets...)
	if err != nil {
		return webhook{}, problemOf(err)
	}
	return webhook{key: key}, nil
}

// holdBody reads the body to its end and gives r one of the same bytes.
// Trailers are dropped, because they are not signed.
func holdBody(r *http.Request, maxBody int64) ([]byte, *problem.Problem) {
	body, refused := problem.ReadBody(r, maxBody)
	if refused != nil {
		return nil, refused
	}
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Trailer = nil
	return body, nil
}
