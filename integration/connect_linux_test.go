package integration

import (
	"net"
	"strconv"
	"syscall"
	"testing"
)

// A packet that is never answered: nothing accepts, and the backlog is full.
func TestConnectTimeout(t *testing.T) {
	u := &upstream{url: "http://" + unresponsive(t)}
	s := start(t, "", edgeWith(t, u, quick))
	got := s.get("/connector/sales/x")
	got.isProblem(t, 504, "upstream_timeout")
	if want := "caddy-connector; error=connection_timeout"; got.Header.Get("Proxy-Status") != want {
		t.Errorf("Proxy-Status %q, want %q", got.Header.Get("Proxy-Status"), want)
	}
}

// unresponsive returns an address on which no connection is ever completed: a
// socket with a backlog of nothing, which one connection fills.
func unresponsive(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return addr
}
