package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A secret of its own, so that finding it somewhere means something.
const proxySecret = "pr0xy-s3cr3t-of-sales"

// edgeWith is a site with one service, sales, in front of the upstream.
func edgeWith(t *testing.T, u *upstream, subdirectives string) string {
	t.Helper()
	t.Setenv("SALES_SECRET", proxySecret)
	return fmt.Sprintf(`EDGE {
	log
	%s
	connector {
		%s
		service sales %s {env.SALES_SECRET}
	}
}
`, accounts, subdirectives, u.url)
}

// B4, S1: on every request, exactly one of each, spelled as documented.
func TestProofOnEveryRequest(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-OWN"} {
		for user, credentials := range map[string]string{"alice": aliceCredentials, "bob": bobCredentials} {
			if got := s.do(method, "/connector/sales/x", "", "Authorization: "+credentials); got.StatusCode != 200 {
				t.Errorf("%s: %d", method, got.StatusCode)
			}
			request := u.one(t)
			if line := requestLine(request); line != method+" /x" {
				t.Errorf("%s: the upstream saw %q", method, line)
			}
			wantProof(t, request, user)
		}
	}
}

func wantProof(t *testing.T, request, user string) {
	t.Helper()
	if got := headerValues(request, "blink-auth-proxysecret"); !slices.Equal(got, []string{proxySecret}) {
		t.Errorf("secret headers %q in %q", got, request)
	}
	if got := headerValues(request, "blink-auth-userid"); !slices.Equal(got, []string{user}) {
		t.Errorf("user headers %q in %q", got, request)
	}
}

// wantNoForgery checks that nothing but the proof has a name like the proof's,
// in the header or in the trailers.
func wantNoForgery(t *testing.T, request string) {
	t.Helper()
	folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(request))
	if n := strings.Count(folded, "blink-auth-proxysecret"); n != 1 {
		t.Errorf("%d names like the secret header's in %q", n, request)
	}
	if n := strings.Count(folded, "blink-auth-userid"); n != 1 {
		t.Errorf("%d names like the user header's in %q", n, request)
	}
	if strings.Contains(request, "forged") {
		t.Errorf("forged value in %q", request)
	}
}

// B4, S1 to S7: no inbound spelling of the two headers arrives, and none takes
// ours away. Once with Caddy's own filter of `_` and `.`, once without.
func TestForgeriesNeverArrive(t *testing.T) {
	const filterOff = `servers {
		expected_underscore_headers blink_auth_userid blink_auth_proxysecret
		expected_dot_headers blink.auth.userid blink.auth.proxysecret
	}`
	names := []string{
		"blink-auth-userid", "Blink-Auth-Userid", "BLINK-AUTH-USERID", "bLiNk-AuTh-UsErId",
		"blink_auth_userid", "BLINK_AUTH_USERID", "blink-auth_userid", "blink.auth.userid", "blink_auth.userid",
		"blink-auth-proxysecret", "Blink-Auth-ProxySecret", "blink_auth_proxysecret", "BLINK_AUTH-PROXYSECRET",
		"blink.auth.proxysecret",
	}
	for _, options := range []string{"", filterOff} {
		u := newUpstream(t, nil)
		s := start(t, options, edgeWith(t, u, ""))
		for _, name := range names {
			forgery := name + ": forged"
			for what, header := range map[string][]string{
				"once":           {forgery},
				"twice":          {forgery, forgery},
				"empty":          {name + ":"},
				"comma":          {name + ": forged, forged"},
				"connection":     {forgery, "Connection: " + name},
				"connection-all": {"Connection: keep-alive, blink-auth-userid, blink-auth-proxysecret, cdn-loop, via"},
				"odd-spacing":    {name + ":\tforged \t"},
			} {
				if got := s.get("/connector/sales/x", header...); got.StatusCode != 200 {
					t.Errorf("%s %s: %d", name, what, got.StatusCode)
					continue
				}
				request := u.one(t)
				wantProof(t, request, "alice")
				wantNoForgery(t, request)
			}
		}
	}
}

// S7: neither as a trailer, announced or not.
func TestForgedTrailersNeverArrive(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	for _, name := range []string{
		"Blink-Auth-Userid", "blink-auth-userid", "blink_auth_userid", "blink.auth.userid",
		"Blink-Auth-Proxysecret", "BLINK_AUTH_PROXYSECRET", "Authorization", "Cookie",
	} {
		for _, announced := range []string{"Trailer: " + name + ", X-Kept\r\n", "Trailer: X-Kept\r\n", ""} {
			got := s.raw("POST /connector/sales/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + announced +
				"Authorization: " + aliceCredentials + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"5\r\nhello\r\n0\r\n" + name + ": forged\r\nX-Kept: kept\r\n\r\n")
			if got.StatusCode != 200 {
				t.Errorf("%s: %d", name, got.StatusCode)
				continue
			}
			request := u.one(t)
			wantProof(t, request, "alice")
			wantNoForgery(t, request)
			if !strings.Contains(request, "\r\n5\r\nhello\r\n0\r\n") {
				t.Errorf("the body was changed: %q", request)
			}
			if announced != "" && !strings.Contains(request, "0\r\nX-Kept: kept\r\n\r\n") {
				t.Errorf("the other trailer is gone: %q", request)
			}
		}
	}
}

// B5, S1, S45: without a user nothing reaches the upstream, whatever the
// request says.
func TestNoUserNoRequest(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	for _, header := range []string{
		"blink-auth-userid: alice", "X-User: alice", "Remote-User: alice", "X-Forwarded-User: alice",
		"Cookie: user=alice", "User-Agent: kube-probe/1.30", "User-Agent: GoogleHC/1.0",
		"X-Original-URL: /public", "X-Forwarded-Uri: /healthz", "X-Forwarded-Prefix: /public",
		"Authorization: Bearer alice", "Authorization: Basic YWxpY2U6",
	} {
		got := s.get("/connector/sales/x", "Authorization: none", header)
		if got.StatusCode != 401 || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %v", header, got.StatusCode, got.Header)
		}
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

// The same, where no authentication stands before the connector at all.
func TestNoAuthenticationAtAll(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", strings.ReplaceAll(edgeWith(t, u, ""), accounts, ""))
	for _, path := range []string{"/connector/sales/x", "/connector/unknown/x", "/connector/", "/connector/sales/../x"} {
		got := s.get(path, "Authorization: none", "blink-auth-userid: alice")
		got.isProblem(t, 401, "user_missing")
		if got.Header.Get("WWW-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate")
		}
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

// S41
func TestUserIDsThatNoHeaderCanCarry(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", strings.ReplaceAll(edgeWith(t, u, "user {vars.user}"), accounts, "vars user {http.request.uri.query.u}"))
	for query, ok := range map[string]bool{
		"alice": true, "u-1234": true, "alice@example.com": true, "a%21~": true,
		strings.Repeat("a", 255): true, strings.Repeat("a", 256): false,
		"a%20b": false, "a%0d%0ab": false, "a%0a": false, "%00": false, "%7f": false, "%C3%A9": false, "%09": false,
	} {
		got := s.get("/connector/sales/x?u=" + query)
		if ok && got.StatusCode != 200 {
			t.Errorf("%.20s: %d", query, got.StatusCode)
		}
		if !ok {
			got.isProblem(t, 403, "user_invalid")
		}
		if n := len(u.seen()); ok != (n == 1) {
			t.Errorf("%.20s: the upstream saw %d requests", query, n)
		}
	}
}

// S25
func TestCredentialsOfTheCallerStop(t *testing.T) {
	credentials := []string{
		"Authorization: " + aliceCredentials, "Cookie: session=s3ss10n", "cookie: other=s3ss10n",
		"Proxy-Authorization: Basic cHJveHk6cHJveHk=",
	}
	for _, forwarded := range []bool{false, true} {
		u := newUpstream(t, nil)
		subdirective := ""
		if forwarded {
			subdirective = "forward_credentials"
		}
		s := start(t, "", edgeWith(t, u, subdirective))
		if got := s.get("/connector/sales/x", credentials...); got.StatusCode != 200 {
			t.Fatalf("%d", got.StatusCode)
		}
		request := u.one(t)
		if got := strings.Contains(request, aliceCredentials[len("Basic "):]); got != forwarded {
			t.Errorf("forward_credentials %v: Authorization in %q", forwarded, request)
		}
		if got := strings.Count(request, "s3ss10n"); got != map[bool]int{false: 0, true: 2}[forwarded] {
			t.Errorf("forward_credentials %v: %d cookies in %q", forwarded, got, request)
		}
		if strings.Contains(request, "cHJveHk6cHJveHk=") {
			t.Errorf("Proxy-Authorization in %q", request)
		}
		wantProof(t, request, "alice")
	}
}

// S28: what frames and routes the request is ours.
func TestHostAndFraming(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	got := s.raw("POST /connector/sales/x HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n" +
		"Connection: close\r\nAuthorization: " + aliceCredentials + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	if got.StatusCode != 200 {
		t.Fatal(got.StatusCode)
	}
	request := u.one(t)
	if got := headerValues(request, "Host"); !slices.Equal(got, []string{strings.TrimPrefix(u.url, "http://")}) {
		t.Errorf("Host %q", got)
	}
	if got := headerValues(request, "X-Forwarded-Host"); !slices.Equal(got, []string{"evil.example"}) {
		t.Errorf("X-Forwarded-Host %q: it names the host that was asked for", got)
	}
	for _, bad := range []string{
		"X-A: b\x00c", "X-A: b\x0bc", "X-A : b", "X A: b", ": b", "Content-Length: 1\r\nContent-Length: 2",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Content-Length: -1", "X-A: a\rX-B: b",
	} {
		got := s.get("/connector/sales/x", bad)
		if got.StatusCode != 400 && got.StatusCode != 501 {
			t.Errorf("%q: %d", bad, got.StatusCode)
		}
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

// Answers of the integration lose every spelling of our headers, also in
// trailers and interim answers; the rest passes.
func TestEchoedProofIsRemoved(t *testing.T) {
	raw := "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nblink_auth_proxysecret: " + proxySecret + "\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nConnection: close\r\nBlink-Auth-Proxysecret: " + proxySecret + "\r\n" +
		"BLINK_AUTH_USERID: alice\r\nX-Kept: kept\r\nX-Kept: too\r\nTrailer: Blink-Auth-Userid, X-Last\r\n" +
		"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nBlink-Auth-Userid: alice\r\nX-Last: last\r\nblink_auth_proxysecret: " + proxySecret + "\r\n\r\n"
	u := newUpstream(t, rawAnswer(raw))
	s := start(t, "", edgeWith(t, u, ""))
	wire := s.wire("GET /connector/sales/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + aliceCredentials + "\r\n\r\n")
	folded := strings.ReplaceAll(strings.ToLower(wire), "_", "-")
	if strings.Contains(folded, "blink-auth") || strings.Contains(wire, proxySecret) {
		t.Errorf("the client got %q", wire)
	}
	for _, kept := range []string{"103 Early Hints", "Link: </x>", "X-Kept: kept\r\nX-Kept: too", "X-Last: last", "2\r\nok\r\n"} {
		if !strings.Contains(wire, kept) {
			t.Errorf("%q is missing in %q", kept, wire)
		}
	}
}
