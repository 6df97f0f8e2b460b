package integration

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// upstream is an integration that records what reaches it, byte for byte.
type upstream struct {
	url      string
	listener net.Listener
	answer   func(request *http.Request, conn net.Conn)
	mu       sync.Mutex
	requests []string
}

// newUpstream starts an integration that answers 200 to everything, or what
// answer writes. Each connection serves one request.
func newUpstream(t *testing.T, answer func(*http.Request, net.Conn)) *upstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveUpstream(t, listener, answer)
}

// serveUpstream is newUpstream on a given listener.
func serveUpstream(t *testing.T, listener net.Listener, answer func(*http.Request, net.Conn)) *upstream {
	t.Helper()
	u := &upstream{url: "http://" + listener.Addr().String(), listener: listener, answer: answer}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	return u
}

func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	var wire bytes.Buffer
	request, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &wire)))
	if err != nil {
		return
	}
	if request.Header.Get("Upgrade") == "" {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
	}
	u.mu.Lock()
	u.requests = append(u.requests, wire.String())
	u.mu.Unlock()
	if u.answer != nil {
		u.answer(request, conn)
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
}

// rawAnswer answers with these bytes.
func rawAnswer(wire string) func(*http.Request, net.Conn) {
	return func(_ *http.Request, conn net.Conn) { _, _ = io.WriteString(conn, wire) }
}

// seen returns the requests since the last call.
func (u *upstream) seen() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	requests := u.requests
	u.requests = nil
	return requests
}

// one returns the only request since the last call.
func (u *upstream) one(t *testing.T) string {
	t.Helper()
	requests := u.seen()
	if len(requests) != 1 {
		t.Fatalf("the upstream saw %d requests, want 1: %q", len(requests), requests)
	}
	return requests[0]
}

// requestLine returns method and target of a recorded request.
func requestLine(request string) string {
	line, _, _ := strings.Cut(request, "\r\n")
	return strings.TrimSuffix(line, " HTTP/1.1")
}

// headerLines returns the header lines of a recorded request.
func headerLines(request string) []string {
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	return strings.Split(head, "\r\n")[1:]
}

// headerValues returns the values of the recorded header lines that have
// exactly this name.
func headerValues(request, name string) (values []string) {
	for _, line := range headerLines(request) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			values = append(values, value)
		}
	}
	return values
}
