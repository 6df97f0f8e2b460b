package connections

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is for what comes soon, unless the machine is busy.
const patience = time.Minute

// raw writes a request of alice's through the proxy as it is, and reads the
// answer. The lines are those of its header, and the rest is what follows.
func (e *edge) raw(method, target string, lines []string, body string) reply {
	e.t.Helper()
	conn := e.dial()
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nX-User: alice\r\n", method, target, e.addr)
	for _, line := range lines {
		fmt.Fprintf(conn, "%s\r\n", line)
	}
	// a body that is refused is not read to its end
	go func() { _, _ = io.WriteString(conn, "\r\n"+body) }()
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err == nil && res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(reader, &http.Request{Method: method})
	}
	if err != nil {
		e.t.Fatalf("%s %.200s: %v", method, target, err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return decoded(reply{Response: res, text: string(text)})
}

func (e *edge) dial() net.Conn {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// known and chunked are the ways in which a body is sent.
func known(body string) (lines []string, sent string) {
	return []string{"Content-Length: " + strconv.Itoa(len(body))}, body
}

func chunked(body string) (lines []string, sent string) {
	return []string{"Transfer-Encoding: chunked"}, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

func proxied(id, rest string) string { return "/api/proxy/v1/" + id + rest }

// rawAPI is an API that answers the head of each request, which it reads alone, as
// it likes.
func rawAPI(t *testing.T, answer func(conn net.Conn, request *http.Request)) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				answer(conn, request)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// saying is a rawAPI that says always the same.
func saying(t *testing.T, text string) (url string) {
	return rawAPI(t, func(conn net.Conn, _ *http.Request) { _, _ = io.WriteString(conn, text) })
}

// at is an API's block of the config.
func at(name, url, more string) string {
	return "api " + name + " {\nbase_url " + url + "\n" + more + "\n}\n"
}

// named is a connection's JSON, with its other members.
func named(name, members string) string {
	return `{"name":"` + name + `"` + members + `}`
}

// soon waits for a condition.
func soon(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there is never %s", what)
		}
	}
}

// within fails the test if nothing comes out of a channel.
func within[T any](t *testing.T, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		t.Fatalf("there is never %s", what)
	}
	return value
}

// shorten has APIs be silent for a shorter time, until the test ends.
func shorten(t *testing.T, timeout time.Duration) {
	old := idleTimeout
	idleTimeout = timeout
	t.Cleanup(func() { idleTimeout = old })
}

// pattern is text that differs from place to place.
func pattern(size int) []byte {
	return bytes.Repeat([]byte(strings.Repeat("0123456789abcdef\x00\r\n\xff", 8)+"."), size/161+1)[:size]
}
