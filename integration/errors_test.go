package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const quick = "transport http {\n\t\t\tdial_timeout 1s\n\t\t\tresponse_header_timeout 1s\n\t\t}"

// B7: what goes wrong upstream is told by status and code, and nothing of it
// leaks.
func TestUpstreamFailures(t *testing.T) {
	closed := newUpstream(t, nil)
	closed.listener.Close()
	silent := newUpstream(t, func(_ *http.Request, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tlsServer.Close)

	for name, tc := range map[string]struct {
		url        string
		status     int
		code       string
		proxyError string
	}{
		"refused":         {closed.url, 502, "upstream_unreachable", "connection_refused"},
		"no such host":    {"http://no-such-host.invalid", 502, "upstream_unreachable", "dns_error"},
		"silent":          {silent.url, 504, "upstream_timeout", "http_response_timeout"},
		"no TLS there":    {strings.Replace(plain.URL, "http:", "https:", 1), 502, "upstream_unreachable", "tls_protocol_error"},
		"own certificate": {tlsServer.URL, 502, "upstream_unreachable", "tls_certificate_error"},
		"closes":          {answering(t, ""), 502, "upstream_failed", "connection_terminated"},
		"half a head":     {answering(t, "HTTP/1.1 200 OK\r\nX-A: b"), 502, "upstream_failed", "connection_terminated"},
		"not HTTP":        {answering(t, "SSH-2.0-OpenSSH_9.2 "+proxySecret+"\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
		"bad header":      {answering(t, "HTTP/1.1 200 OK\r\n"+proxySecret+"\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
		"bad status":      {answering(t, "HTTP/1.1 abc OK\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
	} {
		t.Run(name, func(t *testing.T) {
			u := &upstream{url: tc.url}
			s := start(t, "", edgeWith(t, u, quick))
			for _, body := range []string{"", "hello"} {
				got := s.do("POST", "/connector/sales/x", body)
				got.isProblem(t, tc.status, tc.code)
				if want := "caddy-connector; error=" + tc.proxyError; got.Header.Get("Proxy-Status") != want {
					t.Errorf("Proxy-Status %q, want %q", got.Header.Get("Proxy-Status"), want)
				}
				for _, leak := range []string{"127.0.0.1", "dial", "invalid host", "lookup", "EOF", "SSH", "x509", "tls:", proxySecret} {
					if strings.Contains(got.body+fmt.Sprint(got.Header), leak) {
						t.Errorf("the answer tells %q: %v %s", leak, got.Header, got.body)
					}
				}
			}
			if logs := s.logs(); strings.Contains(logs, proxySecret) || !strings.Contains(logs, `"code":"`+tc.code+`"`) {
				t.Errorf("the log: %s", logs)
			}
		})
	}
}

// answering is the URL of an upstream that answers with these bytes and closes.
func answering(t *testing.T, wire string) string { return newUpstream(t, rawAnswer(wire)).url }

// An upstream that takes the connection but stops reading a long body holds
// nobody: response_header_timeout alone would begin only after the body.
func TestUpstreamThatStopsReading(t *testing.T) {
	u := &upstream{url: listen(t, func(net.Conn) { <-t.Context().Done() })} // accepted, never read
	s := start(t, "", edgeWith(t, u, "max_body 1GiB\n\t\t"+quick))
	res := s.send(http.MethodPost, io.LimitReader(zeros{}, 1<<30))
	defer res.Body.Close()
	if res.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("%d", res.StatusCode)
	}
}

// A slow client is not the upstream's fault, and no reason to give up.
func TestSlowClient(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, "transport http {\n\t\t\tresponse_header_timeout 200ms\n\t\t}"))
	body, feed := io.Pipe()
	go func() {
		for range 4 {
			_, _ = io.WriteString(feed, "slowly ")
			time.Sleep(150 * time.Millisecond) // what is tested: together longer than the timeout
		}
		feed.Close()
	}()
	res := s.send(http.MethodPost, body)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
}

// B7: a body above max_body is 413: announced, before the upstream is asked;
// or found out on the way.
func TestBodyTooLarge(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, "max_body 1000B"))
	fits := strings.Repeat("a", 1000)
	if got := s.do("POST", "/connector/sales/x", fits); got.StatusCode != 200 {
		t.Errorf("1000 bytes: %d %s", got.StatusCode, got.body)
	}
	if got := s.raw(chunked(s, fits)); got.StatusCode != 200 {
		t.Errorf("1000 bytes in chunks: %d %s", got.StatusCode, got.body)
	}
	u.seen()
	s.do("POST", "/connector/sales/x", fits+"a").isProblem(t, 413, "body_too_large")
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
	s.raw(chunked(s, fits+"a")).isProblem(t, 413, "body_too_large")
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw a whole request: %q", requests)
	}
}

func TestBodyTooLargeByDefault(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	s.raw("POST /connector/sales/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "+aliceCredentials+
		"\r\nContent-Length: 10485761\r\n\r\n").isProblem(t, 413, "body_too_large")
}

func chunked(s *server, body string) string {
	return fmt.Sprintf("POST /connector/sales/x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: %s\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", s.addr, aliceCredentials, len(body), body)
}

// A client that breaks off in the middle of its body is told so, if it still
// listens, and the upstream sees a broken request, not a short one.
func TestBodyIncomplete(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	s.raw("POST /connector/sales/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "+aliceCredentials+
		"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnot a chunk\r\n").isProblem(t, 400, "body_incomplete")
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw a whole request: %q", requests)
	}
}

// A client that goes away takes its request with it.
func TestClientGone(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	u := newUpstream(t, func(_ *http.Request, conn net.Conn) {
		close(arrived)
		_, _ = io.Copy(io.Discard, conn) // until the edge closes it
		close(gone)
	})
	s := start(t, "", edgeWith(t, u, ""))
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/connector/sales/x", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", aliceCredentials)
	go func() {
		<-arrived
		cancel()
	}()
	if res, err := http.DefaultClient.Do(request); err == nil {
		res.Body.Close()
		t.Fatal("the request was answered")
	}
	select {
	case <-gone:
	case <-time.After(15 * time.Second):
		t.Fatal("the upstream still has the request")
	}
	eventually(t, "499 in the access log", func() bool { return strings.Contains(s.logs(), `"status":499`) })
}

// A Proxy URL that leads back here ends after one round, also through a second
// service.
func TestLoop(t *testing.T) {
	s := &server{t: t, addr: freeAddr(t)}
	sites := fmt.Sprintf(`EDGE {
	%s
	connector {
		forward_credentials
		service self http://%s/connector/self
		service there http://%s/connector/back
		service back http://%s/connector/there
	}
}
`, accounts, s.addr, s.addr, s.addr)
	running := start(t, "", "")
	running.addr = s.addr
	running.load("", sites)
	running.get("/connector/self/x").isProblem(t, 508, "loop_detected")
	running.get("/connector/there/x").isProblem(t, 508, "loop_detected")
	running.get("/connector/back/x", "Connection: cdn-loop").isProblem(t, 508, "loop_detected")
}

// A mark of another service or edge is none of ours, and is passed on.
func TestOtherLoopMarks(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	if got := s.get("/connector/sales/x", "CDN-Loop: other.example; s=1, caddy-connector; s=0123456789abcdef"); got.StatusCode != 200 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	request := u.one(t)
	if got := strings.Count(request, "caddy-connector; s="); got != 2 || !strings.Contains(request, "other.example; s=1") {
		t.Errorf("CDN-Loop in %q", request)
	}
}

// TRACE would send the secret back to the client (RFC 9110, section 9.3.8).
func TestTraceIsNotForwarded(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	got := s.do("TRACE", "/connector/sales/x", "")
	got.isProblem(t, 405, "method_not_allowed")
	if !strings.Contains(got.Header.Get("Allow"), "POST") {
		t.Errorf("Allow %q", got.Header.Get("Allow"))
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
