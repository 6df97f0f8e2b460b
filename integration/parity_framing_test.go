package integration

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// readHead reads a status line and the header after it.
func readHead(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			t.Fatalf("after %q: %v", head.String(), err)
		}
		if line == "\r\n" {
			return head.String()
		}
	}
}

// listen starts an upstream below HTTP and returns its URL. Each connection is
// closed when serve returns.
func listen(t *testing.T, serve func(net.Conn)) string {
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
				serve(conn)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// A client that asks before it sends its body is told to go on.
func TestParityExpectContinue(t *testing.T) {
	for what, transport := range map[string]string{
		"the edge says so":     "",
		"the upstream says so": "transport http {\nexpect_continue_timeout 1m\n}",
	} {
		t.Run(what, func(t *testing.T) {
			bodies := make(chan string, 1)
			u := newHandlerUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body) // which makes Go's server answer 100
				bodies <- r.Header.Get("Expect") + " " + string(body)
				_, _ = io.WriteString(w, "done")
			})
			s := start(t, "", paritySite(t, u.URL, transport))
			for _, framing := range []struct{ header, body string }{
				{"Content-Length: 5", "hello"},
				{"Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"},
			} {
				eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
					conn := s.dial()
					_, _ = io.WriteString(conn, strings.ReplaceAll(rawRequest("POST", "Expect: 100-continue\r\n"+framing.header, ""), "PREFIX", prefix))
					answers := bufio.NewReader(conn)
					if head := readHead(t, answers); !strings.HasPrefix(head, "HTTP/1.1 100 Continue\r\n") {
						t.Fatalf("before the body: %q", head)
					}
					_, _ = io.WriteString(conn, framing.body)
					if got := await(t, "the body", bodies); got != "100-continue hello" {
						t.Errorf("the upstream got %q", got)
					}
					head := readHead(t, answers)
					if strings.HasPrefix(head, "HTTP/1.1 100 Continue\r\n") {
						// the upstream's, which comes after the edge's and means nothing more
						head = readHead(t, answers)
					}
					if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
						t.Errorf("after the body: %q", head)
					}
				})
			}
		})
	}
}

// With expect_continue_timeout, the upstream can refuse a body unseen.
func TestParityExpectRefused(t *testing.T) {
	u := newHandlerUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not here", http.StatusForbidden)
	})
	s := start(t, "", paritySite(t, u.URL, "transport http {\nexpect_continue_timeout 1m\n}"))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		conn := s.dial()
		_, _ = io.WriteString(conn, strings.ReplaceAll(rawRequest("POST", "Expect: 100-continue\r\nContent-Length: 5", ""), "PREFIX", prefix))
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		wantIn(t, string(answer), []string{"HTTP/1.1 403 Forbidden\r\n", "not here"}, []string{"100 Continue", "Proxy-Status"})
	})
}

// An upstream that answers before it has read the body.
func TestParityEarlyAnswer(t *testing.T) {
	url := listen(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nlarge")
		_, _ = io.Copy(io.Discard, conn)
	})
	s := start(t, "", paritySite(t, url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		conn := s.dial()
		// the body never ends
		_, _ = io.WriteString(conn, strings.ReplaceAll(rawRequest("POST", "Transfer-Encoding: chunked", "5\r\nhello\r\n"), "PREFIX", prefix))
		answers := bufio.NewReader(conn)
		if head := readHead(t, answers); !strings.HasPrefix(head, "HTTP/1.1 413 ") || strings.Contains(head, "Proxy-Status") {
			t.Errorf("the answer is %q", head)
		}
		if body, err := io.ReadAll(answers); err != nil || string(body) != "large" {
			t.Errorf("the answer's body is %q, %v", body, err)
		}
	})
}

// unreliable is an upstream that answers the first request of its first
// connection and hangs up after it has read the next, as if that connection had
// been stale. It counts the requests.
func unreliable(t *testing.T) (url string, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	connections := new(atomic.Int32)
	return listen(t, func(conn net.Conn) {
		first := connections.Add(1) == 1
		reader := bufio.NewReader(conn)
		for answered := false; ; answered = true {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			requests.Add(1)
			if first && answered {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}), requests
}

// What is safe to repeat is repeated on a fresh connection.
func TestParityStaleConnection(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		for _, route := range routes {
			url, requests := unreliable(t)
			s := start(t, "", paritySite(t, url, ""))
			for range 2 {
				if got := s.do(method, route.prefix+"/x", ""); got.StatusCode != 200 {
					t.Errorf("%s, %s: %d %q", method, route.name, got.StatusCode, got.body)
				}
			}
			if n := requests.Load(); n != 3 {
				t.Errorf("%s, %s: the upstream saw %d requests, want 3", method, route.name, n)
			}
		}
	}
}

// S42: what is not safe to repeat is sent once, and an answer that does not
// come is 502.
func TestParitySentOnce(t *testing.T) {
	for _, method := range []string{"POST", "PATCH", "X-OWN"} {
		for _, body := range []string{"", "hello"} {
			for _, route := range routes {
				url, requests := unreliable(t)
				s := start(t, "", paritySite(t, url, ""))
				if got := s.get(route.prefix + "/x"); got.StatusCode != 200 {
					t.Fatalf("%s: %d", route.name, got.StatusCode)
				}
				got := s.do(method, route.prefix+"/x", body)
				if got.StatusCode != 502 {
					t.Errorf("%s %q, %s: %d, want 502", method, body, route.name, got.StatusCode)
				}
				if isConnector(route.prefix) {
					got.isProblem(t, 502, "upstream_failed")
				}
				if n := requests.Load(); n != 2 {
					t.Errorf("%s %q, %s: the upstream saw %d requests, want 2", method, body, route.name, n)
				}
			}
		}
	}
}
