package connector

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/f737063d/caddy-connector/internal/header"
)

// errStalled ends a request whose upstream neither takes the next piece of the
// body nor answers.
var errStalled = errors.New("the upstream takes no more of the body")

// requestBody is the client's body on its way to the upstream: bounded, with
// its trailers, and under watch. Requests without a body need none, because
// net/http's own response_header_timeout is enough for them; only HTTP/3 has
// none.
type requestBody struct {
	io.ReadCloser
	inbound  *http.Request // net/http puts the trailers here when the body ends
	trailer  http.Header   // of the outbound request
	withheld header.Set
	max      int64
	left     int64 // of a body of known length without trailers; else negative
	watch    watch
	failure  atomic.Pointer[error] // why the client's body could not be read
	closed   atomic.Bool           // by the transport, which has given up
}

func (ex *exchange) newRequestBody(cancel context.CancelCauseFunc) *requestBody {
	h := ex.handler
	b := &requestBody{inbound: ex.inbound, withheld: h.withheld, max: h.MaxBody}
	b.watch.start(time.Duration(h.transport.ResponseHeaderTimeout), cancel)
	return b
}

// attach makes b the body of the outbound request.
func (b *requestBody) attach(out *http.Request) {
	if out.Body == nil {
		return
	}
	b.ReadCloser = http.MaxBytesReader(nil, out.Body, b.max)
	out.Body = b
	if b.left = b.inbound.ContentLength; b.left >= 0 && b.inbound.Trailer == nil {
		return // no trailers can come
	}
	b.left = -1
	if out.Trailer == nil {
		out.Trailer = make(http.Header)
	}
	b.trailer = out.Trailer
	b.withheld.Strip(b.trailer)
	if len(b.trailer) > 0 {
		// trailers need chunks
		out.ContentLength = -1
		out.Header.Del("Content-Length")
	}
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		// The transport looks for more than the length. By then the upstream may
		// have answered, and the handler returned: nobody may read on.
		return 0, io.EOF
	}
	b.watch.pause() // what the client does now is not the upstream's fault
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left == 0 && err == nil {
		err = io.EOF
	}
	switch {
	case err == io.EOF:
		b.copyTrailers()
	case err != nil && !b.closed.Load():
		b.failure.CompareAndSwap(nil, &err)
	}
	b.watch.resume()
	return n, err
}

// Close implements io.Closer. A Read that it breaks is not the client's failure.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

// copyTrailers runs in the last Read, before the transport writes them.
func (b *requestBody) copyTrailers() {
	if b.trailer == nil {
		return
	}
	clear(b.trailer)
	for name, values := range b.inbound.Trailer {
		if !b.withheld.Has(name) {
			b.trailer[name] = slices.Clone(values)
		}
	}
}

// answered ends the watch; the body may go on, as in gRPC streams.
func (b *requestBody) answered() {
	if b != nil {
		b.watch.stop()
	}
}

// failed returns why the client's body could not be read, or nil.
func (b *requestBody) failed() error {
	if b == nil {
		return nil
	}
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// watch cancels a request when the upstream is silent for too long.
// response_header_timeout begins only when the whole body is written, so
// an upstream that stops reading would hold the request forever.
type watch struct {
	timer   *time.Timer
	timeout time.Duration
	over    atomic.Bool
}

func (w *watch) start(timeout time.Duration, cancel context.CancelCauseFunc) {
	w.timeout = timeout
	w.timer = time.AfterFunc(timeout, func() {
		// a resume that crosses a stop may arm the timer once more
		if !w.over.Load() {
			cancel(errStalled)
		}
	})
}

func (w *watch) pause() { w.timer.Stop() }

func (w *watch) resume() {
	if !w.over.Load() {
		w.timer.Reset(w.timeout)
	}
}

func (w *watch) stop() {
	w.over.Store(true)
	w.timer.Stop()
}
