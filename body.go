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
	began   time.Time
	since   atomic.Int64 // when the upstream's turn began, after began; 0 in the client's
	over    atomic.Bool
	cancel  context.CancelCauseFunc
}

func (w *watch) start(timeout time.Duration, cancel context.CancelCauseFunc) {
	w.timeout, w.cancel, w.began = timeout, cancel, time.Now()
	w.resume()
	w.timer = time.AfterFunc(time.Hour, w.check)
	w.timer.Reset(timeout) // only now may check find the timer
}

// check is all that the timer does: Reads only note the time, and don't set it.
func (w *watch) check() {
	if w.over.Load() {
		return
	}
	left := w.timeout
	if since := w.since.Load(); since != 0 {
		left -= time.Since(w.began) - time.Duration(since)
	}
	if left <= 0 {
		w.cancel(errStalled)
		return
	}
	w.timer.Reset(left)
}

func (w *watch) pause() { w.since.Store(0) }

func (w *watch) resume() { w.since.Store(int64(max(1, time.Since(w.began)))) }

func (w *watch) stop() {
	w.over.Store(true)
	w.timer.Stop()
}
