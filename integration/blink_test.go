package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// B8: the answer to a connect call is relayed byte for byte, unless its
// authorization_url is one that a client must not open.
func TestConnect(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"code":"OK","message":"OK","data":{"authorization_url":"https://your-external-service.site/login"}}`: true,
		` {"data" : {"authorization_url":"https://h/?a=b#c"}, "n": 12345678901234567890 }`:                     true,
		`{"code":"OK"}`:                       true,
		`{"data":[]}`:                         true,
		`not JSON`:                            true,
		``:                                    true,
		`{"data":{"authorization_url":null}}`: true,
		`{"data":{"authorization_url":"javascript:alert(1)"}}`:                          false,
		`{"data":{"authorization_url":"JavaScript:alert(1)"}}`:                          false,
		`{"data":{"authorization_url":"http://h/login"}}`:                               false,
		`{"data":{"authorization_url":"//h/login"}}`:                                    false,
		`{"data":{"authorization_url":"/login"}}`:                                       false,
		`{"data":{"authorization_url":""}}`:                                             false,
		`{"data":{"authorization_url":"data:text/html,x"}}`:                             false,
		`{"data":{"authorization_url":"https:///login"}}`:                               false,
		`{"data":{"authorization_url":"https:h"}}`:                                      false,
		`{"data":{"authorization_url":" https://h"}}`:                                   false,
		`{"Data":{"Authorization_URL":"javascript:alert(1)"}}`:                          false,
		`{"data":{"authorization_url":"javascript\u003aalert(1)"}}`:                     false,
		`{"data":{"x":"` + strings.Repeat("x", 100<<10) + `"}}`:                         true,
		`{"data":{"authorization_url":"javascript:` + strings.Repeat("x", 1000) + `"}}`: false,
	} {
		u := newUpstream(t, rawAnswer(fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)))
		u.url += "/base"
		s := start(t, "", edgeWith(t, u, ""))
		got := s.do("POST", "/connector/sales/auth/a-1", "{}", "Accept-Encoding: gzip")
		if ok && (got.StatusCode != 200 || got.body != body) {
			t.Errorf("%.80s: %d %.80s", body, got.StatusCode, got.body)
		}
		if !ok {
			got.isProblem(t, 502, "authorization_url_invalid")
		}
		request := u.one(t)
		if line := requestLine(request); line != "POST /base/auth/a-1" {
			t.Errorf("arrived as %q", line)
		}
		if encodings := headerValues(request, "Accept-Encoding"); len(encodings) != 1 || encodings[0] != "identity" {
			t.Errorf("the answer may come compressed: %q", encodings)
		}
		wantProof(t, request, "alice")
		// the same answer to any other call is none of our business
		if got := s.do("POST", "/connector/sales/auth/a-1/x", "{}"); got.StatusCode != 200 || got.body != body {
			t.Errorf("%.80s: %d %.80s", body, got.StatusCode, got.body)
		}
	}
}

// B9: the integration learns who disconnects, and its answer is the client's.
func TestDisconnect(t *testing.T) {
	owners := map[string]string{"1": "alice", "2": "bob"}
	u := newUpstream(t, func(r *http.Request, conn net.Conn) {
		status := "404 Not Found"
		id := strings.TrimPrefix(r.URL.Path, "/linked-accounts/")
		if r.Method == http.MethodDelete && owners[id] == r.Header.Get("Blink-Auth-Userid") {
			delete(owners, id)
			status = "204 No Content"
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nConnection: close\r\n\r\n")
	})
	s := start(t, "", edgeWith(t, u, ""))
	for _, call := range []struct {
		id, credentials string
		status          int
	}{
		{"2", aliceCredentials, 404}, {"1", aliceCredentials, 204}, {"1", aliceCredentials, 404},
		{"2", bobCredentials, 204}, {"3", bobCredentials, 404},
	} {
		got := s.do("DELETE", "/connector/sales/linked-accounts/"+call.id, "", "Authorization: "+call.credentials)
		if got.StatusCode != call.status || got.Header.Get("Proxy-Status") != "" {
			t.Errorf("%+v: %d %v", call, got.StatusCode, got.Header)
		}
	}
}

// B6, S23: whatever the integration answers is the client's, redirects too.
func TestAnswersAreRelayed(t *testing.T) {
	for _, wire := range []string{
		"204 No Content\r\n", "404 Not Found\r\nContent-Length: 4\r\nX-A: b\r\n\r\nnone",
		"500 Internal Server Error\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\nboom",
		"302 Found\r\nLocation: http://other.example/x?y\r\nContent-Length: 0\r\n",
		"307 Temporary Redirect\r\nLocation: //other.example\r\nContent-Length: 0\r\n",
		"401 Unauthorized\r\nWww-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n",
		"418 I'm a teapot\r\nContent-Length: 0\r\n", "999 Odd\r\nContent-Length: 1\r\n\r\nx",
		"200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
		"200 OK\r\nContent-Type: application/problem+json\r\nProxy-Status: other; error=dns_error\r\nContent-Length: 2\r\n\r\n{}",
	} {
		if !strings.Contains(wire, "\r\n\r\n") {
			wire += "\r\n"
		}
		u := newUpstream(t, rawAnswer("HTTP/1.1 "+strings.Replace(wire, "\r\n", "\r\nConnection: close\r\n", 1)))
		s := start(t, "", edgeWith(t, u, ""))
		got := s.wire("GET /connector/sales/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + aliceCredentials + "\r\n\r\n")
		head, body, _ := strings.Cut(wire, "\r\n\r\n")
		for i, line := range strings.Split(head, "\r\n") {
			if i == 0 {
				line = line[:len("200 ")]
			}
			if line != "" && !strings.Contains(got, line) {
				t.Errorf("%q is missing in %q", line, got)
			}
		}
		if !strings.HasSuffix(got, "\r\n\r\n"+body) {
			t.Errorf("the body is not %q in %q", body, got)
		}
		if strings.Contains(got, "caddy-connector") {
			t.Errorf("marked as the edge's own: %q", got)
		}
		u.one(t)
	}
}

// An integration cannot pass its answer off as the edge's.
func TestForgedProxyStatus(t *testing.T) {
	u := newUpstream(t, rawAnswer("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n"+
		"Proxy-Status: caddy-connector; error=http_request_denied\r\nProxy-Status: own; error=dns_error\r\n\r\n"))
	s := start(t, "", edgeWith(t, u, ""))
	got := s.get("/connector/sales/x")
	if values := got.Header.Values("Proxy-Status"); len(values) != 1 || values[0] != "own; error=dns_error" {
		t.Errorf("%d %q", got.StatusCode, values)
	}
}
