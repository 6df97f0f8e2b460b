package connector

import (
	"context"
	"io"
	"net"
	"net/http"

	"github.com/f737063d/caddy-connector/internal/copybuffer"
)

// lendBuffers makes plain connections of the transport copy request bodies
// through the buffers of answers. net/http hands a body to the connection's
// ReadFrom, and the standard library's allocates 32 KiB for each.
func lendBuffers(transport *http.Transport, buffers *copybuffer.Pool) {
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
			return &connection{tcp, buffers}, nil
		}
		return conn, err
	}
}

// connection is a plain connection to an upstream.
type connection struct {
	*net.TCPConn
	buffers *copybuffer.Pool
}

// ReadFrom implements io.ReaderFrom.
func (c *connection) ReadFrom(r io.Reader) (int64, error) {
	buf := c.buffers.Get()
	defer c.buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{c.TCPConn}, r, buf) // without TCPConn's own ReadFrom
}
