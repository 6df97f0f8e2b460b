package connections

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// V3, S25, S28: what is the caller's and the edge's own stays here, all else goes.
func TestRequestHeaders(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth api_key header X-Api-Key"))
	id := e.connected("alice", "zendesk", byKey)
	stays := []string{
		"Authorization: Basic czpz", "Cookie: s=s", "Cookie2: s", "Proxy-Authorization: s", "proxy_authorization: s", "Connection: close, X-Hop, X-Api-Key",
		"X-Hop: s", "Keep-Alive: s", "Proxy-Connection: s", "TE: gzip", "Trailer: X-Api-Key", "Expect: 100-continue", "HTTP2-Settings: s", "Alt-Used: s",
		"X-Api-Key: s", "x-api-key: s", "X_Api_Key: s", "x.api.key: s", "X-Versori-Unknown: s", "x-versori-: s", "X_Versori_Override_Base_Url: https://evil.example",
		"X-Connector-Unknown: s", "x_connector_ignore_headers: X-Kept", "X-Forwarded-For: s", "X-Forwarded-Host: s", "X-Forwarded-Proto: s", "Forwarded: s",
	}
	goes := []string{
		"X-Kept: k", "User-Agent: tests/1", "Accept: */*", "Accept-Encoding: br", "Origin: https://o.example", "Referer: https://r.example/", "X-Repeated: a",
		"X-Repeated: b", "X-Empty:", "Idempotency-Key: 1", "X-Authorization: mine", "Via: 1.1 before", "If-None-Match: \"1\"", "Range: bytes=0-",
	}
	e.raw("POST", proxied(id, "/x"), append(append(stays, goes...), "Content-Length: 2"), "{}").is(t, 200, "")
	got := a.one(t)
	if got.Host != strings.TrimPrefix(a.URL, "http://") {
		t.Errorf("host %s", got.Host)
	}
	var names []string
	for name, values := range got.Header {
		if name != "X-User" && name != "Content-Length" {
			names = append(names, name+": "+strings.Join(values, "|"))
		}
	}
	slices.Sort(names)
	want := []string{
		"Accept-Encoding: br", "Accept: */*", "Idempotency-Key: 1", "If-None-Match: \"1\"", "Origin: https://o.example", "Range: bytes=0-", "Referer: https://r.example/",
		"User-Agent: tests/1", "Via: 1.1 before", "X-Api-Key: s3cret-key", "X-Authorization: mine", "X-Empty: ", "X-Kept: k", "X-Repeated: a|b",
	}
	if !slices.Equal(names, want) {
		t.Errorf("came\n%q\nwant\n%q", names, want)
	}

	// nothing is made up
	e.raw("GET", proxied(id, "/x"), nil, "").is(t, 200, "")
	if got := a.one(t).Header; len(got) != 2 { // X-User and the key
		t.Errorf("%v", got)
	}
}

// S26, and what the edge alone says.
func TestResponseHeaders(t *testing.T) {
	stays := []string{
		"Set-Cookie: s=s", "set-cookie2: s", "Access-Control-Allow-Origin: *", "access-control-allow-credentials: true", "Strict-Transport-Security: max-age=1",
		"Clear-Site-Data: \"*\"", "Service-Worker-Allowed: /", "Refresh: 0;url=https://evil.example", "Nel: {}", "Report-To: {}", "Alt-Svc: h3", "X-Versori-A: s",
		"X-Connector-A: s", "Connection: x-hop", "X-Hop: s", "Keep-Alive: s", "Proxy-Authenticate: Basic", "Upgrade: h2c",
		"Proxy-Status: caddy-connector; error=dns_error", "proxy-status: Caddy-Connector; error=x",
	}
	goes := []string{"Proxy-Status: theirs; error=dns_error", "X-Kept: k", "Content-Type: text/html", "Cache-Control: no-cache", "Vary: Origin"}
	answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Announced, Set-Cookie\r\n" + strings.Join(append(stays, goes...), "\r\n") +
		"\r\n\r\n5\r\nhello\r\n0\r\nX-Announced: a\r\nSet-Cookie: s=s\r\nAccess-Control-Allow-Origin: *\r\nX-Other: o\r\nProxy-Status: caddy-connector; error=x\r\n\r\n"
	e := start(t, at("zendesk", saying(t, answer), "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	got := e.raw("GET", proxied(id, "/x"), nil, "")
	if got.StatusCode != 200 || got.text != "hello" {
		t.Errorf("%d %q", got.StatusCode, got.text)
	}
	got.Header.Del("Date")
	want := http.Header{
		"Proxy-Status": {"theirs; error=dns_error"}, "X-Kept": {"k"}, "Content-Type": {"text/html"}, "Cache-Control": {"no-cache"}, "Vary": {"Origin"},
		"X-Content-Type-Options": {"nosniff"}, "Content-Security-Policy": {"sandbox"},
	}
	if fmt.Sprint(got.Header) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got.Header, want)
	}
	if want := (http.Header{"X-Announced": {"a"}, "X-Other": {"o"}}); fmt.Sprint(got.Trailer) != fmt.Sprint(want) {
		t.Errorf("trailers %v, want %v", got.Trailer, want)
	}
}

// S28: nobody leaves HTTP, and interim answers end here.
func TestUpgradesAndInterimAnswers(t *testing.T) {
	a := newAPI(t, nil)
	switching := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ns3cret"
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </evil.js>; rel=preload\r\nX-Interim: 1\r\n\r\n"
	e := start(t, a.block("zendesk", "auth none")+at("switching", saying(t, switching), "auth none")+
		at("hinting", saying(t, hints+hints+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}
	e.raw("GET", proxied(id, "/x"), upgrade, "").is(t, 200, "")
	if got := a.one(t); got.Header["Upgrade"] != nil || got.Header["Connection"] != nil {
		t.Errorf("%v", got.Header)
	}
	e.raw("GET", proxied(id, "/x"), []string{"Connection: Upgrade", "Upgrade: w\xffs"}, "").is(t, 200, "")
	a.one(t)

	id = e.connected("alice", "switching", named("a", ""))
	for _, lines := range [][]string{nil, upgrade} {
		got := e.raw("GET", proxied(id, "/x"), lines, "")
		if got.is(t, http.StatusBadGateway, "upstream_failed"); strings.Contains(got.text, "s3cret") || got.Header["Upgrade"] != nil {
			t.Errorf("%v %s", got.Header, got.text)
		}
	}

	id = e.connected("alice", "hinting", named("a", ""))
	got := e.raw("GET", proxied(id, "/x"), nil, "") // which reads the first answer that comes
	if got.is(t, 200, ""); got.text != "ok" || got.Header["Link"] != nil || got.Header["X-Interim"] != nil {
		t.Errorf("%v %s", got.Header, got.text)
	}
}

// An event is with the client before there is another one, also where the length
// is known.
func TestEventsAreFlushed(t *testing.T) {
	for name, framing := range map[string]string{"chunked": "Transfer-Encoding: chunked", "known": "Content-Length: 18"} {
		t.Run(name, func(t *testing.T) {
			received := make(chan struct{})
			write := func(conn net.Conn, event string) {
				if name == "chunked" {
					event = fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
				}
				_, _ = io.WriteString(conn, event)
			}
			url := rawAPI(t, func(conn net.Conn, _ *http.Request) {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n%s\r\n\r\n", framing)
				write(conn, "data: 1\n\n")
				<-received
				write(conn, "data: 2\n\n")
			})
			e := start(t, at("zendesk", url, "auth none"))
			id := e.connected("alice", "zendesk", named("a", ""))
			request, err := http.NewRequest("GET", "http://"+e.addr+proxied(id, "/x"), nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-User", "alice")
			res, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			lines := make(chan string, 1)
			go func() {
				line, _ := bufio.NewReader(res.Body).ReadString('\n')
				lines <- line
			}()
			if line := within(t, "an event", lines); line != "data: 1\n" {
				t.Errorf("%q", line)
			}
			close(received)
		})
	}
}

// Redirects are the client's to follow, if it dares: S23, and S24.
func TestRedirects(t *testing.T) {
	a := newAPI(t, nil)
	a.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", a.URL+"/elsewhere?back="+r.URL.Query().Get("key"))
		w.Header().Set("Content-Location", "/x?key="+r.URL.Query().Get("key")+"&a=b")
		w.Header().Add("Link", "<"+r.URL.String()+">; rel=self")
		w.Header().Set(http.TrailerPrefix+"X-Asked", r.URL.String())
		w.WriteHeader(http.StatusTemporaryRedirect)
		_ = http.NewResponseController(w).Flush()
	}
	e := start(t, a.block("zendesk", "auth api_key query key")+a.block("other", "auth api_key header key"))
	id := e.connected("alice", "zendesk", named("a", `,"credentials":[{"type":"api_key","value":"s3cret-key"}]`))
	got := e.raw("POST", proxied(id, "/x?a=b&key=mine"), []string{"Content-Length: 1"}, "x")
	if got.StatusCode != http.StatusTemporaryRedirect || len(a.seen()) != 1 {
		t.Fatalf("%d %s", got.StatusCode, got.text)
	}
	for _, name := range []string{"Location", "Content-Location", "Link"} {
		if value := got.Header.Get(name); !strings.Contains(value, "REDACTED") || strings.Contains(value, "s3cret-key") {
			t.Errorf("%s: %s", name, value)
		}
	}
	if value := got.Trailer.Get("X-Asked"); value != "/v2/x?a=b&key=REDACTED" {
		t.Errorf("%v", got.Trailer)
	}
	// what is no credential is relayed as it is
	id = e.connected("alice", "other", byKey)
	if got := e.raw("GET", proxied(id, "/x?key=the-caller's"), nil, ""); got.Header.Get("Location") != a.URL+"/elsewhere?back=the-caller's" {
		t.Errorf("%v", got.Header)
	}
}
