// Package porttest finds addresses for the servers of tests.
package porttest

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// The first ports of the packages that start Caddy. Packages are tested at the
// same time, and Caddy shares its ports (SO_REUSEPORT): two processes that find
// the same port free would both listen there, and answer for each other. All
// ranges are below those that systems give away themselves.
const (
	Connections   = 14000
	Integration   = 20000
	Subscriptions = 26000

	ports = 6000 // in each range
)

var next = func() *atomic.Int64 {
	n := new(atomic.Int64)
	n.Store(int64(os.Getpid())) // a port that was just used may not be free yet
	return n
}()

// Free returns an address on loopback that nobody listens at, with a port of the
// range that begins at first.
func Free(t testing.TB, first int64) string {
	t.Helper()
	for range ports {
		addr := net.JoinHostPort("127.0.0.1", strconv.FormatInt(first+next.Add(1)%ports, 10))
		listener, err := net.Listen("tcp", addr)
		if err == nil {
			listener.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
