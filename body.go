package connector

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/stall"
)

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
	left     int64                 // of a body of known length without trailers; else negative
	watch    stall.Watch           // response_header_timeout begins only when the whole body is written
	failure  atomic.Pointer[error] // why the client's body could not be read
	closed   atomic.Bool           // by the transport, which has given up
}

func (ex *exchange) newRequestBody(cancel context.CancelCauseFunc) *requestBody {
	h := ex.handler
	b := &requestBody{inbound: ex.inbound, withheld: h.withheld, max: h.MaxBody}
	b.watch.Start(time.Duration(h.transport.ResponseHeaderTimeout), cancel)
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
	b.watch.Pause() // what the client does now is not the upstream's fault
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
	b.watch.Resume()
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
		b.watch.Stop()
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
