package connections

import (
	"bytes"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/stall"
)

const (
	maxReplayed = 64 << 10 // what is held of a body to be sent again
	maxSigned   = 1 << 20  // and to be signed
)

// body is the client's, on its way to the API.
type body struct {
	held    []byte // all of it, if it is replayable
	present bool   // whether there is a body
	stream  io.ReadCloser
	watch   *stall.Watch
	failure atomic.Pointer[error] // why the client's body could not be read
}

// holdBody reads a body that is to be signed, or that may be sent again, with another
// access token too, and is small enough.
func (ex *exchange) holdBody() error {
	r := ex.inbound
	if r.ContentLength > ex.handler.MaxBody {
		return &refusal{problem.BodyTooLarge}
	}
	ex.body.present = r.ContentLength != 0
	limit := int64(0)
	switch {
	case !ex.body.present:
		return nil
	case ex.api.auth.NeedsBody():
		limit = min(maxSigned, ex.handler.MaxBody)
	case r.ContentLength > 0 && r.ContentLength <= maxReplayed && (ex.repeatable().Idempotent() || ex.api.oauth != nil):
		limit = maxReplayed
	default:
		ex.body.stream = http.MaxBytesReader(nil, r.Body, ex.handler.MaxBody)
		return nil
	}
	held, broken := problem.ReadBody(r, limit)
	if broken != nil {
		return &refusal{broken}
	}
	ex.body.held = held
	return nil
}

// replayable reports whether the body can be sent again.
func (b *body) replayable() bool { return b.stream == nil }

// attach makes it the body of the outbound request.
func (b *body) attach(out *http.Request, watch *stall.Watch) {
	b.watch = watch
	switch {
	case !b.present:
		out.Body = http.NoBody
	case b.stream != nil:
		out.Body = (*streamedBody)(b)
	default:
		out.ContentLength = int64(len(b.held))
		b.rewind(out)
		return
	}
	out.GetBody = nil
}

// rewind has a held body be sent from its beginning.
func (b *body) rewind(out *http.Request) {
	if b.stream != nil {
		return
	}
	if len(b.held) == 0 {
		out.Body = http.NoBody
		return
	}
	out.Body = io.NopCloser(bytes.NewReader(b.held))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.held)), nil }
}

// failed returns why the client's body could not be read, or nil.
func (b *body) failed() error {
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// streamedBody is a body that is sent as it comes.
type streamedBody body

// Read implements io.Reader.
func (b *streamedBody) Read(p []byte) (int, error) {
	b.watch.Pause() // what the client does now is not the API's fault
	n, err := b.stream.Read(p)
	if err != nil && err != io.EOF {
		b.failure.CompareAndSwap(nil, &err)
	}
	b.watch.Resume()
	return n, err
}

// Close implements io.Closer. The server closes the client's body itself.
func (b *streamedBody) Close() error { return nil }
