package integration

import (
	"slices"
	"strings"
	"testing"
)

const trustLoopback = `servers {
		trusted_proxies static 127.0.0.1/32
	}`

// What a request's header looks like at the upstream.
func TestParityRequestHeader(t *testing.T) {
	type request struct {
		name     string
		lines    string
		want     []string // in what the upstream sees
		unwanted []string
	}
	anyone := []request{
		{"plain", "", []string{
			"GET /x?y=1 HTTP/1.1", "\nX-Forwarded-For: 127.0.0.1\n", "\nX-Forwarded-Proto: http\n",
			"\nX-Forwarded-Host: edge.example\n", "\nVia: 1.1 Caddy\n",
		}, []string{"User-Agent", "Connection", "\nTe:", "Early-Data"}},
		{"own user agent", "User-Agent: own/1.0", []string{"\nUser-Agent: own/1.0\n"}, nil},
		{"empty user agent", "User-Agent:", nil, []string{"User-Agent"}},
		{"te", "Te: gzip, trailers;q=0.5, trailers", []string{"\nTe: trailers\n"}, []string{"gzip, trailers"}},
		{"te without trailers", "Te: gzip", nil, []string{"\nTe:"}},
		{"hop-by-hop", "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\n" +
			"Proxy-Authorization: Basic cHJveHk=\r\nUpgrade: not-asked-for\r\nConnection: X-Hop, x-other\r\n" +
			"X-Hop: 1\r\nX-Other: 2\r\nX-End: 3", []string{"\nX-End: 3\n"},
			[]string{"Keep-Alive", "Proxy-", "Upgrade", "X-Hop", "X-Other", "Connection"}},
		{"named in connection", "Connection: via, x-forwarded-for, x-forwarded-proto, x-forwarded-host",
			[]string{"\nVia: 1.1 Caddy\n", "\nX-Forwarded-For: 127.0.0.1\n", "\nX-Forwarded-Host: edge.example\n"}, nil},
		{"alt-svc", "Alt-Svc: h3=\":443\"", nil, []string{"Alt-Svc"}},
		{"via", "Via: 1.0 fred, 1.1 p.example", []string{"\nVia: 1.0 fred, 1.1 p.example\nVia: 1.1 Caddy\n"}, nil},
		{"repeated and empty", "X-Many: b\r\nX-Many: a\r\nX-Empty:\r\nX-Many: b",
			[]string{"\nX-Many: b\nX-Many: a\nX-Many: b\n", "\nX-Empty: \n"}, nil},
		{"conditions", "If-None-Match: \"a\"\r\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\nRange: bytes=0-1\r\n" +
			"Cache-Control: no-cache\r\nAccept: a/b", []string{"\nIf-None-Match: \"a\"\n", "\nRange: bytes=0-1\n"}, nil},
		{"accepts compressed", "Accept-Encoding: br, gzip;q=0.5", []string{"\nAccept-Encoding: br, gzip;q=0.5\n"}, nil},
	}
	for options, requests := range map[string][]request{
		"": append(anyone, []request{
			{"spoofed", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example",
				[]string{"\nX-Forwarded-For: 127.0.0.1\n", "\nX-Forwarded-Proto: http\n", "\nX-Forwarded-Host: edge.example\n"},
				[]string{"1.2.3.4", "evil.example"}},
		}...),
		trustLoopback: append(anyone, []request{
			{"forwarded", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: first.example",
				[]string{"\nX-Forwarded-For: 1.2.3.4, 127.0.0.1\n", "\nX-Forwarded-Proto: https\n", "\nX-Forwarded-Host: first.example\n"}, nil},
			{"forwarded twice", "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\n" +
				"X-Forwarded-Proto: https\r\nX-Forwarded-Host: first.example\r\nX-Forwarded-Host: second.example",
				[]string{"\nX-Forwarded-For: 1.2.3.4, 5.6.7.8, 9.9.9.9, 127.0.0.1\n", "\nX-Forwarded-Proto: https\n", "\nX-Forwarded-Host: second.example\n"}, nil},
			{"forwarded empty", "X-Forwarded-For:\r\nX-Forwarded-Proto:\r\nX-Forwarded-Host:",
				[]string{"\nX-Forwarded-For: 127.0.0.1\n", "\nX-Forwarded-Proto: http\n", "\nX-Forwarded-Host: edge.example\n"}, nil},
		}...),
	} {
		u := newUpstream(t, nil)
		s := start(t, options, paritySite(t, u.url, ""))
		for _, request := range requests {
			raw := rawRequest("GET", request.lines, "")
			wanted := withoutProof(s.seenBy(u, "/plain", raw))
			got := withoutProof(s.seenBy(u, "/connector/sales", raw))
			// on purpose: reverse_proxy asks for gzip on its own account, and
			// decodes it; connector passes bodies as they are
			if !strings.Contains(request.lines, "Accept-Encoding") {
				wanted = strings.Replace(wanted, "Accept-Encoding: gzip\n", "", 1)
			}
			if got != wanted {
				t.Errorf("%s, options %q: through reverse_proxy\n%s\nthrough connector\n%s", request.name, options, wanted, got)
			}
			wantIn(t, got, request.want, request.unwanted)
		}
	}
}

// Forwarded is where connector is stricter: reverse_proxy passes it on from
// anyone, though it means the same as the X-Forwarded fields.
func TestParityForwarded(t *testing.T) {
	for options, want := range map[string][]string{
		"":            nil,
		trustLoopback: {"for=1.2.3.4;proto=https", "for=5.6.7.8"},
	} {
		u := newUpstream(t, nil)
		s := start(t, options, paritySite(t, u.url, ""))
		seen := s.seenBy(u, "/connector/sales", rawRequest("GET", "Forwarded: for=1.2.3.4;proto=https\r\nForwarded: for=5.6.7.8", ""))
		if got := headerValues(seen, "Forwarded"); !slices.Equal(got, want) {
			t.Errorf("options %q: Forwarded %q, want %q", options, got, want)
		}
	}
}

// A request of HTTP/1.0 goes on as one of 1.1, which Via tells.
func TestParityHTTP10(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", paritySite(t, u.url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		seen := s.seenBy(u, prefix, "GET PREFIX/x HTTP/1.0\r\nHost: x\r\nAuthorization: "+aliceCredentials+"\r\n\r\n")
		wantIn(t, seen, []string{"GET /x HTTP/1.1\r\n", "\r\nVia: 1.0 Caddy\r\n"}, nil)
	})
}

// The framing of bodies and their trailers.
func TestParityRequestBody(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n"
	for _, request := range []struct {
		name, method, lines, body string
		want                      []string
	}{
		{"length", "POST", "Content-Length: 5", "hello", []string{"\nContent-Length: 5\n", "\n\nhello"}},
		{"empty", "POST", "Content-Length: 0", "", []string{"\nContent-Length: 0\n"}},
		{"chunks", "PUT", chunked, "5\r\nhello\r\n0\r\n\r\n", []string{"\nTransfer-Encoding: chunked\n", "hello"}},
		{"get with a body", "GET", "Content-Length: 5", "hello", []string{"\nContent-Length: 5\n", "\n\nhello"}},
		{"delete with chunks", "DELETE", chunked, "5\r\nhello\r\n0\r\n\r\n", []string{"hello"}},
		{"announced trailer", "POST", chunked + "Trailer: X-Sum", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
			[]string{"\nTrailer: X-Sum\n", "0\r\nX-Sum: 1\r\n\r\n"}},
		{"announced, not sent", "POST", chunked + "Trailer: X-Sum", "5\r\nhello\r\n0\r\n\r\n", []string{"\nTrailer: X-Sum\n", "hello"}},
		{"trailer of an empty body", "POST", chunked + "Trailer: X-Sum", "0\r\nX-Sum: 1\r\n\r\n", []string{"0\r\nX-Sum: 1\r\n\r\n"}},
		{"te and trailer", "POST", chunked + "Te: trailers\r\nTrailer: X-Sum", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
			[]string{"\nTe: trailers\n", "0\r\nX-Sum: 1\r\n\r\n"}},
		{"unannounced trailer", "POST", chunked, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", []string{"hello"}},
		{"incremental", "POST", chunked + "Incremental: ?1", "5\r\nhello\r\n0\r\n\r\n", []string{"\nIncremental: ?1\n", "hello"}},
		{"head", "HEAD", "", "", []string{"HEAD /x?y=1 HTTP/1.1\n"}},
		{"options", "OPTIONS", "", "", []string{"OPTIONS /x?y=1 HTTP/1.1\n"}},
	} {
		u := newUpstream(t, nil)
		s := start(t, "", paritySite(t, u.url, "transport http {\ncompression off\n}"))
		raw := rawRequest(request.method, request.lines, request.body)
		wanted := withoutProof(s.seenBy(u, "/plain", raw))
		got := withoutProof(s.seenBy(u, "/connector/sales", raw))
		if got != wanted {
			t.Errorf("%s: through reverse_proxy\n%q\nthrough connector\n%q", request.name, wanted, got)
		}
		wantIn(t, got, request.want, nil)
	}
}
