package connections

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// What an answer does not say of its type, the edge does not guess: it could make a
// document of it.
func TestNoTypeIsGuessed(t *testing.T) {
	const page = "<!doctype html><script>alert(1)</script>"
	for name, framing := range map[string]string{
		"known":   fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(page), page),
		"chunked": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(page), page),
		"empty":   "Content-Length: 0\r\n\r\n",
	} {
		e := start(t, at("zendesk", saying(t, "HTTP/1.1 200 OK\r\n"+framing), "auth none"))
		id := e.connected("alice", "zendesk", named("a", ""))
		got := e.raw("GET", proxied(id, "/x"), nil, "")
		if got.StatusCode != http.StatusOK || got.Header["Content-Type"] != nil || got.Header.Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("%s: %d %v", name, got.StatusCode, got.Header)
		}
	}
}

// What the site's own handlers have said of its answers, an API does not unsay.
func TestFieldsOfTheSiteStay(t *testing.T) {
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html")
		h.Set("Vary", "Accept")
		h.Set("X-Frame-Options", "ALLOWALL")
		h.Set("Content-Security-Policy", "script-src *")
		h.Set("X-Theirs", "t")
		_, _ = io.WriteString(w, "page")
	})
	e := prepare(t)
	config := a.block("zendesk", "auth none") + "}\n}\n" // leaves the handler, and the route
	site := "header Vary Origin\nheader X-Frame-Options DENY\nheader Content-Security-Policy \"default-src 'none'\"\n"
	e.start(config + "route {\n" + site + "connections {\nprefix /other\nuser {http.request.header.X-User}\n" + a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	got := e.do("alice", "GET", "/other/proxy/v1/"+id+"/x", "")
	got.is(t, http.StatusOK, "")
	for name, want := range map[string]string{
		"Vary": "Origin, Accept", "X-Frame-Options": "DENY, ALLOWALL", "Content-Security-Policy": "default-src 'none', script-src *, sandbox",
		"X-Theirs": "t", "Content-Type": "text/html",
	} {
		if value := strings.Join(got.Header[name], ", "); value != want {
			t.Errorf("%s: %s, want %s", name, value, want)
		}
	}
}

// An answer that ends with the connection, and whose length is not known, is whole; one
// that is shorter than it says is not.
func TestAnswerUntilTheEnd(t *testing.T) {
	e := start(t, at("open", saying(t, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"), "auth none")+
		at("short", saying(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), "auth none")+
		at("reset", rawAPI(t, func(conn net.Conn, _ *http.Request) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			_ = conn.(*net.TCPConn).SetLinger(0)
		}), "auth none"))
	if text, err := e.broken(e.connected("alice", "open", named("a", ""))); text != "hello" || err != nil {
		t.Errorf("open: %q %v", text, err)
	}
	for _, api := range []string{"short", "reset"} {
		if text, err := e.broken(e.connected("alice", api, named("a", ""))); err == nil {
			t.Errorf("%s: %q passes for the whole", api, text)
		}
	}
}
