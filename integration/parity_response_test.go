package integration

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Answers of the upstream, as bytes, and what the client gets of them, also as
// bytes: the same through both.
func TestParityAnswers(t *testing.T) {
	const (
		ok       = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nConnection: close\r\n"
		early    = "HTTP/1.1 103 Early Hints\r\n"
		chunks   = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
		hello    = "Content-Length: 5\r\n\r\nhello"
		notFound = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"error\":\"own\"}"
	)
	zipped := gzipped(t, "hello")
	for _, test := range []struct {
		name, method   string
		lines          string // of the request
		answer         string
		want, unwanted []string // in what the client gets
	}{
		{"length", "GET", "", ok + "X-Own: 1\r\nX-Own: 2\r\n" + hello,
			[]string{"HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 5\r\n", "\r\nX-Own: 1\r\nX-Own: 2\r\n", "\r\nX-Site: yes\r\n", "\r\nVia: 1.1 Caddy\r\n", "\r\n\r\nhello"},
			[]string{"Transfer-Encoding", "Proxy-Status", "\r\nServer:"}},
		{"chunks", "GET", "", ok + chunks + "\r\n",
			[]string{"\r\nTransfer-Encoding: chunked\r\n", "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"}, []string{"Content-Length"}},
		{"until close", "GET", "", ok + "\r\nhello", []string{"5\r\nhello\r\n0\r\n\r\n"}, nil},
		{"empty", "GET", "", ok + "Content-Length: 0\r\n\r\n", []string{"\r\nContent-Length: 0\r\n"}, nil},
		{"server of its own", "GET", "", ok + "Server: own/1\r\n" + hello, []string{"\r\nServer: own/1\r\n"}, []string{"Server: Caddy"}},
		{"header of the edge too", "GET", "", ok + "X-Site: own\r\n" + hello, []string{"\r\nX-Site: yes\r\nX-Site: own\r\n"}, nil},
		{"cookies", "GET", "", ok + "Set-Cookie: a=1; Path=/; HttpOnly\r\nSet-Cookie: b=2\r\n" + hello,
			[]string{"\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\nSet-Cookie: b=2\r\n"}, nil},
		{"hop-by-hop", "GET", "", "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n" +
			"Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTe: trailers\r\nAlt-Svc: h3=\":443\"\r\nX-End: 1\r\n" + hello,
			[]string{"\r\nX-End: 1\r\n"}, []string{"X-Hop", "Keep-Alive", "Proxy-", "Upgrade", "Te:", "Alt-Svc"}},
		{"head", "HEAD", "", ok + "Content-Length: 5000\r\n\r\n", []string{"\r\nContent-Length: 5000\r\n", "\r\nContent-Type: a/b\r\n"}, nil},
		{"head without length", "HEAD", "", ok + "\r\n", []string{"\r\nContent-Type: a/b\r\n"}, []string{"Content-Length"}},
		{"no content", "DELETE", "", "HTTP/1.1 204 No Content\r\nConnection: close\r\nX-Own: 1\r\n\r\n",
			[]string{"HTTP/1.1 204 No Content\r\n", "\r\nX-Own: 1\r\n"}, []string{"Content-Length", "Content-Type"}},
		{"not modified", "GET", "If-None-Match: \"a\"", "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nEtag: \"a\"\r\nContent-Length: 5000\r\n\r\n",
			[]string{"HTTP/1.1 304 Not Modified\r\n", "\r\nEtag: \"a\"\r\n"}, []string{"Content-Type"}},
		{"range", "GET", "Range: bytes=1-2", "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes 1-2/5\r\nContent-Length: 2\r\n\r\nel",
			[]string{"HTTP/1.1 206 Partial Content\r\n", "\r\nContent-Range: bytes 1-2/5\r\n", "\r\n\r\nel"}, nil},
		{"gzip", "GET", "Accept-Encoding: gzip", ok + "Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(len(zipped)) + "\r\n\r\n" + zipped,
			[]string{"\r\nContent-Encoding: gzip\r\n", "\r\n\r\n" + zipped}, nil},
		{"not found", "GET", "", notFound, []string{"HTTP/1.1 404 Not Found\r\n", "\r\n\r\n{\"error\":\"own\"}"}, []string{"Proxy-Status", "problem"}},
		{"bad gateway of its own", "GET", "", "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nRetry-After: 5\r\n" + hello,
			[]string{"HTTP/1.1 502 Bad Gateway\r\n", "\r\nRetry-After: 5\r\n", "\r\n\r\nhello"}, []string{"Proxy-Status", "problem"}},
		{"unauthorized of its own", "GET", "", "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nWww-Authenticate: Own\r\n" + hello,
			[]string{"HTTP/1.1 401 Unauthorized\r\n", "\r\nWww-Authenticate: Own\r\n"}, []string{"Proxy-Status"}},
		{"unknown status", "GET", "", "HTTP/1.1 599 Own\r\nConnection: close\r\n" + hello, []string{"HTTP/1.1 599 "}, nil},
		{"proxy-status of its own", "GET", "", ok + "Proxy-Status: inner; error=dns_timeout\r\n" + hello,
			[]string{"\r\nProxy-Status: inner; error=dns_timeout\r\n"}, []string{"caddy-connector"}},
		{"problem of its own", "GET", "", "HTTP/1.1 422 Unprocessable Entity\r\nConnection: close\r\nContent-Type: application/problem+json\r\n" + hello,
			[]string{"\r\nContent-Type: application/problem+json\r\n", "\r\n\r\nhello"}, []string{"Proxy-Status"}},

		{"announced trailer", "GET", "Te: trailers", ok + "Trailer: X-Sum\r\n" + chunks + "X-Sum: 1\r\n\r\n",
			[]string{"\r\nTrailer: X-Sum\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"}, nil},
		{"unannounced trailer", "GET", "", ok + chunks + "X-Sum: 1\r\n\r\n", []string{"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"}, []string{"Trailer:"}},
		{"both", "GET", "", ok + "Trailer: X-Sum\r\n" + chunks + "X-Sum: 1\r\nX-More: 2\r\n\r\n",
			[]string{"\r\nTrailer: X-Sum\r\n", "X-Sum: 1\r\n", "X-More: 2\r\n"}, nil},
		{"announced, not sent", "GET", "", ok + "Trailer: X-Sum\r\n" + chunks + "\r\n", []string{"5\r\nhello\r\n0\r\n"}, []string{"X-Sum:"}},
		{"trailer of an empty body", "GET", "", ok + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", []string{"\r\nX-Sum: 1\r\n"}, nil},

		{"early hints", "GET", "", early + "Link: </a>; rel=preload\r\n\r\n" + ok + "X-Own: 1\r\n" + hello,
			[]string{early, "\r\nLink: </a>; rel=preload\r\n", "\r\nHTTP/1.1 200 OK\r\n", "\r\nX-Own: 1\r\n", "\r\n\r\nhello"}, nil},
		{"early hints, header of the edge too", "GET", "", early + "X-Site: own\r\n\r\n" + ok + hello,
			[]string{"\r\nX-Site: yes\r\nX-Site: own\r\n\r\nHTTP/1.1 200 OK\r\n", "\r\nX-Site: yes\r\n"}, nil},
		{"early hints, hop-by-hop", "GET", "", early + "Link: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nAlt-Svc: h3=\":443\"\r\n\r\n" + ok + hello,
			[]string{early, "\r\nLink: </a>\r\n"}, []string{"X-Hop", "Keep-Alive", "Alt-Svc"}},
		{"processing, then early hints", "POST", "", "HTTP/1.1 102 Processing\r\n\r\n" + early + "Link: </a>\r\n\r\n" + ok + hello,
			[]string{"HTTP/1.1 102 Processing\r\n", early, "\r\n\r\nhello"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := newUpstream(t, rawAnswer(test.answer))
			s := start(t, "", paritySite(t, u.url, ""))
			raw := rawRequest(test.method, test.lines, "")
			wanted, got := s.gotBy("/plain", raw), s.gotBy("/connector/sales", raw)
			if got != wanted {
				t.Errorf("through reverse_proxy\n%q\nthrough connector\n%q", wanted, got)
			}
			wantIn(t, got, test.want, test.unwanted)
		})
	}
}

// Where several intermediaries are named, reverse_proxy names itself first and
// connector last, as RFC 9110 asks.
func TestParityViaOfAnswer(t *testing.T) {
	u := newUpstream(t, rawAnswer("HTTP/1.1 200 OK\r\nConnection: close\r\nVia: 1.1 inner\r\nContent-Length: 2\r\n\r\nok"))
	s := start(t, "", paritySite(t, u.url, ""))
	wantIn(t, s.gotBy("/connector/sales", rawRequest("GET", "", "")), []string{"\r\nVia: 1.1 inner\r\nVia: 1.1 Caddy\r\n"}, nil)
}

// Caddy's `header` rewrites values in place. What one answer is made to say is
// no other message's.
func TestParityRewrittenHeader(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", strings.Replace(paritySite(t, u.url, ""), "header X-Site yes", "header X-Site yes\n\theader {\n\tVia Caddy Edge\n\tdefer\n\t}", 1))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		for range 2 {
			wantIn(t, s.gotBy(prefix, rawRequest("GET", "", "")), []string{"\r\nVia: 1.1 Edge\r\n"}, nil)
			wantIn(t, u.one(t), []string{"\r\nVia: 1.1 Caddy\r\n"}, nil)
		}
	})
}

// Several 103 belong to one answer. What an earlier handler has set is in the
// final answer, what only a 103 had is not.
func TestParityEarlyHints(t *testing.T) {
	u := newUpstream(t, rawAnswer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+
		"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\nX-Early: 1\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nConnection: close\r\nLink: </c>\r\nContent-Length: 2\r\n\r\nok"))
	s := start(t, "", paritySite(t, u.url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		parts := strings.Split(s.gotBy(prefix, rawRequest("GET", "", "")), "\r\n\r\n")
		if len(parts) != 4 || parts[3] != "ok" {
			t.Fatalf("the client got %q", parts)
		}
		wantIn(t, parts[0], []string{"HTTP/1.1 103 ", "\r\nLink: </a>"}, []string{"</b>", "</c>"})
		wantIn(t, parts[1], []string{"HTTP/1.1 103 ", "\r\nLink: </b>", "\r\nX-Early: 1"}, []string{"</a>", "</c>"})
		wantIn(t, parts[2], []string{"HTTP/1.1 200 ", "\r\nLink: </c>", "\r\nX-Site: yes"}, []string{"</a>", "</b>", "X-Early"})
	})
}

// Redirects are the client's to follow.
func TestParityRedirects(t *testing.T) {
	for _, status := range []string{"301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
		u := newUpstream(t, func(request *http.Request, conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nConnection: close\r\nLocation: http://"+request.Host+"/next?a=b%2F#c\r\nContent-Length: 5\r\n\r\nmoved")
		})
		s := start(t, "", paritySite(t, u.url, ""))
		for _, method := range []string{"GET", "POST"} {
			raw := rawRequest(method, "", "")
			wanted, got := s.gotBy("/plain", raw), s.gotBy("/connector/sales", raw)
			if got != wanted {
				t.Errorf("%s: through reverse_proxy\n%q\nthrough connector\n%q", status, wanted, got)
			}
			wantIn(t, got, []string{"HTTP/1.1 " + status + "\r\n", "\r\nLocation: " + u.url + "/next?a=b%2F#c\r\n", "\r\n\r\nmoved"}, nil)
		}
		if n := len(u.seen()); n != 4 {
			t.Errorf("%s: the upstream saw %d requests, want 4", status, n)
		}
	}
}

// The compression of an answer is between client and upstream. Here connector
// differs on purpose: reverse_proxy asks for gzip even when the client did not,
// and unpacks it.
func TestParityCompressionNobodyAskedFor(t *testing.T) {
	zipped := gzipped(t, "hello")
	u := newUpstream(t, rawAnswer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: "+strconv.Itoa(len(zipped))+"\r\n\r\n"+zipped))
	s := start(t, "", paritySite(t, u.url, ""))
	wantIn(t, s.gotBy("/connector/sales", rawRequest("GET", "", "")), []string{"\r\nContent-Encoding: gzip\r\n", "\r\n\r\n" + zipped}, nil)
	wantIn(t, u.one(t), nil, []string{"Accept-Encoding"})
}

// The proof stays out of answers also where a trailer comes unannounced.
func TestParityUnannouncedTrailerWithProof(t *testing.T) {
	u := newUpstream(t, rawAnswer("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"+
		"Blink-Auth-Proxysecret: "+proxySecret+"\r\nX-Sum: 1\r\n\r\n"))
	s := start(t, "", paritySite(t, u.url, ""))
	wantIn(t, s.gotBy("/connector/sales", rawRequest("GET", "", "")), []string{"\r\nX-Sum: 1\r\n"}, []string{"Blink-Auth", proxySecret})
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.String()
}
