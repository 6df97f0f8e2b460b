package connections

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What an API does instead of an answer is told apart, and none of its bytes, which
// may echo a credential, are in what is said of it.
func TestFailures(t *testing.T) {
	const echo = "s3cret-echo"
	closed, _ := listen(t, "127.0.0.1:0")
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	for name, tc := range map[string]struct {
		url        string
		status     int
		code, kind string
	}{
		"nobody":         {"http://" + freeAddr(t), 502, "upstream_unreachable", "connection_refused"},
		"hangs up":       {"http://" + closed, 502, "upstream_failed", "connection_terminated"},
		"no HTTP":        {saying(t, echo+" "+echo+"\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
		"status":         {saying(t, "HTTP/1.1 "+echo+"\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
		"field":          {saying(t, "HTTP/1.1 200 OK\r\n"+echo+"\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
		"length":         {saying(t, "HTTP/1.1 200 OK\r\nContent-Length: "+echo+"\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
		"long header":    {saying(t, "HTTP/1.1 200 OK\r\nX-A: "+strings.Repeat(echo, 1<<13)+"\r\n\r\n"), 502, "upstream_failed", "http_protocol_error"},
		"no TLS":         {shouting(t, echo+"\r\n"), 502, "upstream_unreachable", "tls_protocol_error"},
		"HTTP for HTTPS": {shouting(t, "HTTP/1.1 200 OK\r\n\r\n"+echo), 502, "upstream_unreachable", "tls_protocol_error"},
		"certificate":    {untrusted.URL, 502, "upstream_unreachable", "tls_certificate_error"},
		"forbidden":      {"http://127.0.0.2:9", 502, "upstream_unreachable", "destination_ip_prohibited"},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, at("zendesk", tc.url, "auth none"))
			id := e.connected("alice", "zendesk", named("a", ""))
			got := e.raw("POST", proxied(id, "/x?k="+echo), nil, "") // which is not tried again
			if got.is(t, tc.status, tc.code); got.Header.Get("Proxy-Status") != "caddy-connector; error="+tc.kind {
				t.Errorf("%v", got.Header)
			}
			told := fmt.Sprint(got.Header, got.text)
			if strings.Contains(told, echo) || strings.Contains(told, "127.0.0") {
				t.Errorf("told %s", told)
			}
			soon(t, "a line in the log", func() bool { return strings.Contains(e.logs(), "an API could not be called") })
			for line := range strings.SplitSeq(e.logs(), "\n") {
				if strings.Contains(line, echo) && !strings.Contains(line, "http.log.access") {
					t.Errorf("the log says %s", line)
				}
			}
		})
	}
}

// shouting is where TLS is expected, and nobody speaks it.
func shouting(t *testing.T, text string) (url string) {
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
			_, _ = io.WriteString(conn, text)
			_, _ = conn.Read(make([]byte, 1<<10)) // what is not read would have the connection reset
			conn.Close()
		}
	}()
	return "https://" + listener.Addr().String()
}

// An answer that breaks off is one that breaks off for the client; what the API
// sends in its place is not logged.
func TestAnswerBreaksOff(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	for name, rest := range map[string]string{"end": "", "chunk": "s3cret-echo\r\n", "trailer": "0\r\ns3cret-echo\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			e := start(t, at("zendesk", saying(t, head+rest), "auth none"))
			id := e.connected("alice", "zendesk", named("a", ""))
			text, err := e.broken(id)
			if text != "hello" || err == nil {
				t.Errorf("%q %v", text, err)
			}
			soon(t, "a line in the log", func() bool { return strings.Contains(e.logs(), "read error during body copy") })
			if strings.Contains(e.logs(), "s3cret-echo") {
				t.Errorf("%s", e.logs())
			}
		})
	}
}

// broken reads an answer that breaks off.
func (e *edge) broken(id string) (text string, err error) {
	e.t.Helper()
	conn := e.dial()
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-User: alice\r\n\r\n", proxied(id, "/x"), e.addr)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	read, err := io.ReadAll(res.Body)
	return string(read), err
}

// An API that does nothing any more is not waited for.
func TestSilentAPI(t *testing.T) {
	ended := make(chan struct{})
	defer close(ended)
	hang := func(text string) string {
		return rawAPI(t, func(conn net.Conn, _ *http.Request) {
			_, _ = io.WriteString(conn, text)
			<-ended
		})
	}
	shorten(t, 500*time.Millisecond)
	e := start(t, at("mute", hang(""), "auth none")+at("stuck", hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), "auth none"))

	mute := e.connected("alice", "mute", named("a", ""))
	e.call("alice", "GET", mute, "/x", "").is(t, http.StatusGatewayTimeout, "upstream_timeout")

	// which has not read the body either
	reader, writer := io.Pipe()
	go func() {
		block := make([]byte, 1<<20)
		for {
			if _, err := writer.Write(block); err != nil {
				return
			}
		}
	}()
	defer reader.Close()
	request, err := http.NewRequest("POST", "http://"+e.addr+proxied(mute, "/x"), reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-User", "alice")
	request.ContentLength = 31 << 20
	if res, err := client.Do(request); err == nil { // else the edge has closed while we were writing
		res.Body.Close()
		if res.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("%d", res.StatusCode)
		}
	}
	soon(t, "a second line in the log", func() bool { return strings.Count(e.logs(), `"code":"upstream_timeout"`) == 2 })

	text, err := e.broken(e.connected("alice", "stuck", named("a", "")))
	if text != "hello" || err == nil {
		t.Errorf("%q %v", text, err)
	}
}

// A client that is slow is not an API that is.
func TestSlowClient(t *testing.T) {
	a := newAPI(t, nil)
	shorten(t, time.Second)
	e := start(t, a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	reader, writer := io.Pipe()
	go func() {
		for range 2 {
			time.Sleep(1500 * time.Millisecond)
			_, _ = io.WriteString(writer, "x")
		}
		writer.Close()
	}()
	request, err := http.NewRequest("POST", "http://"+e.addr+proxied(id, "/x"), reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-User", "alice")
	e.send(request).is(t, 200, "")
	if got := a.one(t); got.body != "xx" {
		t.Errorf("%q", got.body)
	}
}

// When the client goes, so does the request to the API.
func TestClientGoes(t *testing.T) {
	begun, over := make(chan struct{}, 2), make(chan struct{}, 2)
	wait := func(head string) string {
		return rawAPI(t, func(conn net.Conn, _ *http.Request) {
			_, _ = io.WriteString(conn, head)
			begun <- struct{}{}
			_, _ = conn.Read(make([]byte, 1)) // until the edge closes
			over <- struct{}{}
		})
	}
	e := start(t, at("mute", wait(""), "auth none")+at("stuck", wait("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), "auth none"))
	for _, api := range []string{"mute", "stuck"} {
		id := e.connected("alice", api, named("a", ""))
		conn := e.dial()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-User: alice\r\n\r\n", proxied(id, "/x"), e.addr)
		within(t, "a request", begun)
		conn.Close()
		within(t, "an end of it", over)
	}
	if strings.Contains(e.logs(), "an API could not be called") {
		t.Error("a client that goes is logged as the API's failure")
	}
}
