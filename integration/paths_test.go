package integration

import (
	"fmt"
	"strings"
	"testing"
)

// B1, B2: path and query arrive byte for byte below the Proxy URL.
func TestPathsArriveByteForByte(t *testing.T) {
	for _, base := range []string{"", "/", "/base", "/base/", "/a%2Fb/c"} {
		u := newUpstream(t, nil)
		u.url += base
		s := start(t, "", edgeWith(t, u, ""))
		root := base
		if root == "" {
			root = "/"
		}
		trimmed := strings.TrimSuffix(base, "/")
		for sent, want := range map[string]string{
			"":                        root,
			"/":                       root,
			"?":                       root + "?",
			"/?":                      root + "?",
			"?a=b":                    root + "?a=b",
			"/sale/123?action=closed": trimmed + "/sale/123?action=closed",
			"/sale/":                  trimmed + "/sale/",
			"/x?":                     trimmed + "/x?",
			"/a%2Fb":                  trimmed + "/a%2Fb",
			"/a%2fb":                  trimmed + "/a%2fb",
			"/a%20b":                  trimmed + "/a%20b",
			"/a+b":                    trimmed + "/a+b",
			"/a//b":                   trimmed + "/a//b",
			"//a":                     trimmed + "//a",
			"//":                      trimmed + "//",
			"/a;b=c;d":                trimmed + "/a;b=c;d",
			"/a%3Bb":                  trimmed + "/a%3Bb",
			"/%41%7e~":                trimmed + "/%41%7e~",
			"/a%23b%3Fc":              trimmed + "/a%23b%3Fc",
			"/%25":                    trimmed + "/%25",
			"/a|b^c{d}":               trimmed + "/a|b^c{d}",
			"/\xc3\xa9":               trimmed + "/\xc3\xa9",
			"/%C3%A9":                 trimmed + "/%C3%A9",
			"/!$&'()*,:=@[]":          trimmed + "/!$&'()*,:=@[]",
			"/...":                    trimmed + "/...",
			"/.well-known/x":          trimmed + "/.well-known/x",
			"/x?a=1&a=2&a=1":          trimmed + "/x?a=1&a=2&a=1",
			"/x?a=b+c%20d%2Be":        trimmed + "/x?a=b+c%20d%2Be",
			"/x?a;b=c;d":              trimmed + "/x?a;b=c;d",
			"/x?%":                    trimmed + "/x?%",
			"/x?a=%zz&b=%":            trimmed + "/x?a=%zz&b=%",
			"/x?a=..%2f..%5c%00":      trimmed + "/x?a=..%2f..%5c%00",
			"/x?a=/../":               trimmed + "/x?a=/../",
			"/x??a=?":                 trimmed + "/x??a=?",
			"/x?{env.SALES_SECRET}":   trimmed + "/x?{env.SALES_SECRET}",
			"/{env.SALES_SECRET}":     trimmed + "/{env.SALES_SECRET}",
			"/x?a=|\"<>`\xff":         trimmed + "/x?a=|\"<>`\xff",
		} {
			if got := s.get("/connector/sales" + sent); got.StatusCode != 200 {
				t.Errorf("base %q: %q: %d %s", base, sent, got.StatusCode, got.body)
				continue
			}
			if line := requestLine(u.one(t)); line != "GET "+want {
				t.Errorf("base %q: %q arrived as %q, want %q", base, sent, line, want)
			}
		}
	}
}

// S12: no encoding of a dot segment, and no backslash or control character,
// reaches anything.
func TestPathsThatAreRefused(t *testing.T) {
	u := newUpstream(t, nil)
	u.url += "/base"
	s := start(t, "", edgeWith(t, u, ""))
	for _, path := range []string{
		"/..", "/.", "/../", "/../../etc/passwd", "/a/../b", "/a/./b", "/a/..", "/a/.",
		"/%2e%2e", "/%2E%2e/x", "/.%2e/x", "/%2e./x", "/%2e", "/a/%2e%2e/%2e%2e/x",
		"/..%2fx", "/..%2Fx", "/a%2f..%2fb", "/%2e%2e%2fx", "/a%2F%2e%2E%2Fb",
		"/%252e%252e/x", "/%252e%252e%252fx", "/..%252fx", "/%25252e%25252e/x", "/%2525252e%2525252e/x",
		"/..;/x", "/..;a=b/x", "/.;/x", "/..%3bx/y", "/%2e%2e;/x", "/%2e%2e%3b/x",
		"/%c0%ae%c0%ae/x", "/%c0%ae./x", "/a%c0%af..%c0%afb", "/%e0%80%ae%e0%80%ae/x", "/%f0%80%80%ae%f0%80%80%ae/x",
		"/a\\b", "/..\\x", "/a%5cb", "/a%5Cb", "/..%5c..%5cx", "/a%255cb", "/%c1%9c",
		"/%00", "/a%00b", "/a%2500b", "/%c0%80", "/%0d", "/%0a", "/%0d%0aX-A:%20b", "/a%250d%250ab", "/%09", "/%7f", "/%1b",
		"/a#b", "/a#", "/x?a=b#c",
	} {
		s.get("/connector/sales"+path).isProblem(t, 400, "path_invalid")
	}
	for _, path := range []string{"/a\x00b", "/a\x01", "/\x7f", "/%", "/%z", "/%0", "/a b"} {
		if got := s.get("/connector/sales" + path); got.StatusCode != 400 {
			t.Errorf("%q: %d", path, got.StatusCode)
		}
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

// Where the path that must be written begins with two slashes and has bytes
// that net/url would re-encode, the edge refuses instead of changing them.
func TestAmbiguousPathIsRefused(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	s.get("/connector/sales//evil.example|x").isProblem(t, 400, "path_invalid")
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

// B1, S13: a service has one spelling.
func TestServiceIDs(t *testing.T) {
	sales, other := newUpstream(t, nil), newUpstream(t, nil)
	t.Setenv("SALES_SECRET", proxySecret)
	s := start(t, "", fmt.Sprintf(`EDGE {
	%s
	connector {
		service sales %s {env.SALES_SECRET}
		service Sales2 %s
		service l-83fde044-d08d-4f5a-bde0-44d08d8f5ae2 %s
	}
}
`, accounts, sales.url, other.url, other.url))
	for _, path := range []string{
		"/connector/Sales/x",
		"/connector/SALES/x",
		"/connector/%73ales/x",
		"/connector/sales%2Fx",
		"/connector/salesx/x",
		"/connector/sale/x",
		"/connector/sales;a/x",
		"/connector/sales%20/x",
		"/connector//sales/x",
		"/connector/",
		"/connector/..%2fsales/x",
		"/connector/../x",
		"/connector/%00/x",
	} {
		s.get(path).isProblem(t, 404, "service_unknown")
	}
	if n := len(sales.seen()) + len(other.seen()); n != 0 {
		t.Errorf("upstreams saw %d requests", n)
	}
}

// What is not below the prefix is the next handler's.
func TestOtherPathsArePassedOn(t *testing.T) {
	u := newUpstream(t, nil)
	next := newUpstream(t, rawAnswer("HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnext"))
	for _, prefix := range []string{"/connector", "/api/v1/connect"} {
		s := start(t, "", fmt.Sprintf(`EDGE {
	connector {
		prefix %s
		service sales %s
	}
	reverse_proxy %s
}
`, prefix, u.url, next.url))
		for _, path := range []string{
			"/", prefix, prefix + "s/sales/x", strings.ToUpper(prefix) + "/sales/x", "/" + prefix + "/sales/x",
			"/x" + prefix + "/sales/x", strings.Replace(prefix, "c", "%63", 1) + "/sales/x",
		} {
			if got := s.get(path); got.body != "next" {
				t.Errorf("%s: %d %q", path, got.StatusCode, got.body)
			}
		}
		s.get(prefix+"/sales/x").isProblem(t, 401, "user_missing")
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

func TestPrefixOfOneSlash(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, "prefix /"))
	if got := s.get("/sales/x?y"); got.StatusCode != 200 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if line := requestLine(u.one(t)); line != "GET /x?y" {
		t.Errorf("arrived as %q", line)
	}
}

// S11: what a client says of the request's path or host decides nothing.
func TestForwardedHeadersDecideNothing(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	for _, header := range []string{
		"X-Forwarded-Uri: /connector/sales/y", "X-Forwarded-Prefix: /base", "X-Forwarded-Path: /y", "X-Original-URL: /y",
		"X-Rewrite-URL: /y", "X-Forwarded-Method: DELETE", "X-HTTP-Method-Override: DELETE", "X-Forwarded-Host: evil.example",
	} {
		if got := s.get("/connector/sales/x", header); got.StatusCode != 200 {
			t.Errorf("%s: %d", header, got.StatusCode)
		}
		request := u.one(t)
		if line := requestLine(request); line != "GET /x" {
			t.Errorf("%s: arrived as %q", header, line)
		}
		wantProof(t, request, "alice")
		s.get("/connector/unknown/x", header).isProblem(t, 404, "service_unknown")
	}
}

// An earlier rewrite counts; its path is what is split.
func TestAfterARewrite(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", strings.Replace(edgeWith(t, u, ""), "connector {", "uri strip_prefix /v2\n\tconnector {", 1))
	if got := s.get("/v2/connector/sales/a%2Fb?c"); got.StatusCode != 200 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if line := requestLine(u.one(t)); line != "GET /a%2Fb?c" {
		t.Errorf("arrived as %q", line)
	}
}

// The absolute form of a request target (RFC 9112, section 3.2.2) chooses no
// upstream.
func TestAbsoluteForm(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	if got := s.get("http://evil.example/connector/sales/x?y"); got.StatusCode != 200 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	request := u.one(t)
	if line := requestLine(request); line != "GET /x?y" {
		t.Errorf("arrived as %q", line)
	}
	if got := headerValues(request, "Host"); len(got) != 1 || got[0] != strings.TrimPrefix(u.url, "http://") {
		t.Errorf("Host %q", got)
	}
}
