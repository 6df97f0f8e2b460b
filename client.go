package connector

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// clientSide is the client's side of a tunnel. Two goroutines may write to it,
// the one that copies and the one that closes a tunnel whose service is gone; but
// neither a ResponseWriter nor what Caddy's access log counts with allows that.
type clientSide struct {
	io.Reader
	write   func([]byte) (int, error)
	half    func() error // ends what is written, or nil
	end     func()       // ends a Read that waits
	hurry   func()       // ends a Write that waits
	mu      sync.Mutex
	closing sync.Mutex // held in Close
	closed  atomic.Bool
}

// upgradedSide is a connection that net/http has given away.
func upgradedSide(conn net.Conn) *clientSide {
	c := &clientSide{Reader: conn, write: conn.Write, end: func() { conn.Close() }, hurry: func() {}}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		c.half = half.CloseWrite
	}
	return c
}

// extendedSide is an extended CONNECT: the request's body and the response's.
func extendedSide(body io.ReadCloser, w http.ResponseWriter) *clientSide {
	control := http.NewResponseController(w)
	// the writers that Caddy puts around net/http's must not be told a deadline
	// while they write; net/http's own may
	inmost := http.NewResponseController(unwrapped(w))
	return &clientSide{
		Reader: body,
		write: func(p []byte) (int, error) {
			n, err := w.Write(p)
			if err == nil {
				err = control.Flush()
			}
			return n, err
		},
		end: func() { body.Close() },
		// it resets the stream, which without need would be no clean end
		hurry: func() { _ = inmost.SetWriteDeadline(time.Now()) },
	}
}

// Write implements io.Writer.
func (c *clientSide) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	return c.write(p)
}

// CloseWrite ends what is written to the client. Where that cannot be told from
// the end of all, it is io.EOF.
func (c *clientSide) CloseWrite() error {
	if c.half == nil {
		return io.EOF
	}
	return c.half()
}

// Close implements io.Closer.
func (c *clientSide) Close() error {
	c.closing.Lock()
	defer c.closing.Unlock()
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	if c.mu.TryLock() {
		c.mu.Unlock()
	} else {
		c.hurry()
	}
	c.end()
	return nil
}

// finish closes, and waits until nobody writes or closes any more: the handler
// must not return before, because then the ResponseWriter is no more.
func (c *clientSide) finish() {
	_ = c.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
}

func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}
