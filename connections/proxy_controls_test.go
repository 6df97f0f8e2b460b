package connections

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/f737063d/caddy-connector/internal/dnstest"
)

// everywhere has all names lead to 127.0.0.1, until the test ends.
func everywhere(t *testing.T) {
	old := net.DefaultResolver
	net.DefaultResolver = dnstest.Serve(t, func(string, int) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	t.Cleanup(func() { net.DefaultResolver = old })
}

// port returns the port of an API, with the colon.
func (a *api) port() string { return a.URL[strings.LastIndex(a.URL, ":"):] }

// V4, V5: under both prefixes, and never forwarded.
func TestControlHeaders(t *testing.T) {
	everywhere(t)
	a := newAPI(t, nil)
	e := start(t, at("zendesk", "http://{{sub}}.api.example"+a.port()+"/{{region}}/{{fixed}}",
		"variable sub {\ndefault first\noverridable\n}\nvariable region {\ndefault eu\noverridable\n}\nvariable fixed {\ndefault f\n}\nauth api_key header X-Api-Key"))
	id := e.connected("alice", "zendesk", named("a", `,"credentials":[{"type":"api_key","value":"s3cret-key"}],"variables":[{"name":"region","value":"stored"}]`))
	for _, prefix := range []string{"X-Versori-", "x-connector-"} {
		for _, tc := range []struct{ lines, want string }{ // or the code
			{"", "first/stored/f"},
			{"Connection-Variable: sub=acme", "acme/stored/f"},
			{"Connection-Variable: sub=acme&region=us", "acme/us/f"},
			{"Connection-Variable: sub=a&region=b|Connection-Variable: region=c", "a/c/f"},
			{"Connection-Variable: region=a%20b%C3%A9&region=%7Ex+y", "first/~x%20y/f"},
			{"Connection-Variable: ", "first/stored/f"},
			{"Connection-Variable: fixed=x", "403 connection_variable_not_overridable"},
			{"Connection-Variable: other=x", "422 connection_variable_unknown"},
			{"Connection-Variable: sub=", "422 connection_variable_invalid"},
			{"Connection-Variable: sub=a.b", "422 connection_variable_invalid"},
			{"Connection-Variable: region=a%2Fb", "422 connection_variable_invalid"},
			{"Connection-Variable: sub", "400 control_header_invalid"},
			{"Connection-Variable: sub=%zz", "400 control_header_invalid"},
			{"Force-Refresh-Credential: true", "first/stored/f"},
			{"Force-Refresh-Credential: false", "first/stored/f"},
			{"Force-Refresh-Credential: yes", "400 control_header_invalid"},
			{"Force-Refresh-Credential: true|Force-Refresh-Credential: true", "400 control_header_invalid"},
			{"Ignore-Headers: x-kept, X-User ,,", "first/stored/f"},
			{"Ignore-Headers: X-Api-Key, Host, Content-Length", "first/stored/f"},
			{"Ignore-Headers: a b", "400 control_header_invalid"},
			{"Override-Base-Url: https://evil.example", "403 base_url_override_not_allowed"},
			{"Override-Base-Url: http://evil.example", "400 base_url_override_invalid"},
			{"Override-Base-Url: ", "400 control_header_invalid"},
			{"Override-Base-Url: https://a.example|Override-Base-Url: https://a.example", "400 control_header_invalid"},
			{"Unknown: x", "first/stored/f"},
		} {
			lines := []string{"X-Kept: k"}
			for line := range strings.SplitSeq(tc.lines, "|") {
				if line != "" {
					lines = append(lines, prefix+line)
				}
			}
			got := e.raw("GET", proxied(id, ""), lines, "")
			seen := a.seen()
			if got.StatusCode != http.StatusOK {
				if told := fmt.Sprint(got.StatusCode, " ", got.body["code"]); told != tc.want || len(seen) > 0 {
					t.Errorf("%s: %s, want %s; the API was asked %d times", tc.lines, told, tc.want, len(seen))
				}
				continue
			}
			if len(seen) != 1 {
				t.Errorf("%s: the API was asked %d times", tc.lines, len(seen))
				continue
			}
			sub, _, _ := strings.Cut(seen[0].Host, ".api.example"+a.port())
			if went := sub + seen[0].RequestURI; went != tc.want || seen[0].Header.Get("X-Api-Key") != "s3cret-key" {
				t.Errorf("%s: it went to %s with %v", tc.lines, went, seen[0].Header)
			}
			for name := range seen[0].Header {
				if strings.HasPrefix(name, "X-Versori") || strings.HasPrefix(name, "X-Connector") {
					t.Errorf("%s: came %s", tc.lines, name)
				}
			}
			if ignored := seen[0].Header["X-Kept"] == nil; ignored != strings.Contains(tc.lines, "x-kept") {
				t.Errorf("%s: %v", tc.lines, seen[0].Header)
			}
		}
	}
	both := []string{"X-Versori-Connection-Variable: sub=a", "X-Connector-Connection-Variable: sub=b"}
	e.raw("GET", proxied(id, ""), both, "").is(t, http.StatusBadRequest, "control_header_invalid")
	a.seen()
}

// V5, S17: a variable without a value is nothing to send.
func TestUnresolvedVariable(t *testing.T) {
	everywhere(t)
	a := newAPI(t, nil)
	e := start(t, at("zendesk", "http://{{sub}}.api.example"+a.port(), "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	got := e.call("alice", "GET", id, "/x", "")
	if got.is(t, http.StatusUnprocessableEntity, "connection_variable_missing"); !strings.Contains(got.text, "sub") || len(a.seen()) > 0 {
		t.Errorf("%s", got.text)
	}
}

// listen counts the connections to an address, which it closes.
func listen(t *testing.T, address string) (addr string, count *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	count = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			conn.Close()
		}
	}()
	return listener.Addr().String(), count
}

// S12, S15, S18, S19: whatever a request says, the credential goes to its API, and
// what is refused makes no connection.
func TestTricks(t *testing.T) {
	everywhere(t)
	a := newAPI(t, nil)
	evil, connections := listen(t, "127.0.0.1:0")
	_, evilPort, _ := net.SplitHostPort(evil)
	e := start(t, at("zendesk", "http://{{sub}}.api.example"+a.port()+"/base/{{account}}/v2",
		"variable sub {\noverridable\n}\nvariable account {\noverridable\n}\nauth api_key header X-Api-Key\nallow_base_url good.example:"+evilPort+" 127.0.0.2"))
	id := e.connected("alice", "zendesk", named("a",
		`,"credentials":[{"type":"api_key","value":"s3cret-key"}],"variables":[{"name":"sub","value":"acme"},{"name":"account","value":"7"}]`))

	var tried, refusals int
	try := func(what, rest string, lines ...string) {
		t.Helper()
		tried++
		got := e.raw("GET", proxied(id, rest), append(lines, "Connection: close"), "")
		seen := a.seen()
		if got.StatusCode >= 400 {
			if refusals++; got.StatusCode >= 500 || len(seen) > 0 || got.Header["Proxy-Status"] == nil && got.StatusCode != 400 {
				t.Errorf("%s: %d %s; the API was asked %d times", what, got.StatusCode, got.text, len(seen))
			}
		} else {
			for _, r := range seen {
				host, ok := strings.CutSuffix(r.Host, ".api.example"+a.port())
				if !ok || strings.ContainsAny(host, ".:@/") || !strings.HasPrefix(r.RequestURI, "/base/") || strings.Count(r.URL.Path, "/") < 3 {
					t.Errorf("%s: it went to %s%s", what, r.Host, r.RequestURI)
				}
			}
		}
		if n := connections.Swap(0); n > 0 {
			t.Errorf("%s: %d connections to another server", what, n)
		}
	}
	host := "evil.example:" + evilPort
	for _, rest := range []string{
		"/..", "/../x", "/a/../../x", "/%2e%2e/x", "/.%2e/x", "/%2E./x", "/..;/x", "/..%2fx", "/..%5cx", "/..\\x", "\\..\\x", "/%252e%252e/x", "/%25252e%25252e/x", "/%c0%ae%c0%ae/x",
		"/.", "/./x", "/%00", "/%0d%0aHost:%20" + host, "/#@" + host, "//" + host + "/", "@" + host, ":80@" + host, "/%2f%2f" + host, "/@" + host, "/http://" + host, "?@" + host, "/x?#@" + host,
		"/;@" + host, "/%40" + host, "/%23", "/%5c%5c" + host,
	} {
		if !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, "?") {
			e.raw("GET", proxied(id, rest), nil, "").is(t, http.StatusNotFound, "") // the id goes on
			a.seen()
			continue
		}
		try("path "+rest, rest)
	}
	values := []string{
		host, "evil.example", "evil.example/", "evil.example#", "evil.example?", host + "/", host + "#", host + "?", "a@" + host, "u:p@" + host, "x:" + evilPort, ":" + evilPort, "x:", "..", ".", "a.", ".a",
		"//" + host, "\\\\" + host, "127.0.0.1", "[::1]", "localhost", "%00", "a%00", "a%0d%0a", "%zz", "%2e%2e", "%2e%2e%2f", "..%2f", "%252e%252e", "a/b", "a%2fb", "a\\b", "xn--a", "é", "a%E3%80%82b", "a%EF%BC%8Fb",
		"%E2%80%A5", "{{account}}", "a b", "a+b", "-a", "a-", "_", "*", strings.Repeat("a", 64), "$(x)",
	}
	for _, value := range values {
		try("host variable "+value, "/x", "X-Versori-Connection-Variable: sub="+value)
		try("path variable "+value, "/x", "X-Connector-Connection-Variable: account="+value)
	}
	for _, override := range []string{
		"https://" + host, "https://127.0.0.1:" + evilPort, "https://good.example", "https://good.example:443", "http://good.example:" + evilPort, "https://good.example:" + evilPort + "@" + host,
		"https://u:p@good.example:" + evilPort, "https://good.example:" + evilPort + ".evil.example", "https://" + host + "#good.example", "https://" + host + "/good.example", "https://" + host + "?good.example:" + evilPort,
		"https://good.example\\@" + host, "//good.example:" + evilPort, "good.example:" + evilPort, "https:good.example:" + evilPort, "https:/good.example:" + evilPort, "https:///good.example", "https://", "https://:" + evilPort,
		"ftp://good.example:" + evilPort, "file:///etc/passwd", "https://good.example:0" + evilPort, "https://good.example.:" + evilPort, "https://sub.good.example:" + evilPort, "https://xgood.example:" + evilPort,
		"https://{{sub}}.example:" + evilPort, "https://good.example:" + evilPort + "/..", "https://good.example:" + evilPort + "/%2e%2e/x", "https://good.example:" + evilPort + "/?x", "https://good.example:" + evilPort + "/#x", "https://good.example: " + evilPort,
		"https://[::ffff:127.0.0.1]:" + evilPort, "https://2130706433:" + evilPort, "https://0x7f.1:" + evilPort, "https://127.1:" + evilPort, "https://ｇood.example:" + evilPort, "javascript:alert(1)", "https://good%2eexample:" + evilPort,
	} {
		try("override "+override, "/x", "X-Versori-Override-Base-Url: "+override)
	}
	// the rest of a request leads nowhere either
	for _, line := range []string{
		"X-Forwarded-Host: " + host, "X-Original-Url: http://" + host + "/", "X-Versori-Host: " + host, "X_Versori_Override_Base_Url: https://good.example:" + evilPort,
		"X-Connector-Override_Base_Url: https://good.example:" + evilPort, "Connection: X-Versori-Connection-Variable, X-Api-Key", "Forwarded: host=" + host, "Destination: http://" + host,
	} {
		try("header "+line, "/x", line)
	}
	if tried < 100 || refusals < 100 {
		t.Errorf("%d tricks, %d refused", tried, refusals)
	}
	try("nothing", "/x")

	// the allowed one is dialled, and there alone; and what is allowed is not thereby open
	got := e.raw("GET", proxied(id, "/x"), []string{"X-Versori-Override-Base-Url: HTTPS://good.example:" + evilPort + "/other"}, "")
	if got.is(t, http.StatusBadGateway, "upstream_failed"); connections.Swap(0) == 0 {
		t.Error("an allowed override is not tried")
	}
	got = e.raw("GET", proxied(id, "/x"), []string{"X-Versori-Override-Base-Url: https://127.0.0.2"}, "")
	if got.is(t, http.StatusBadGateway, "upstream_unreachable"); !strings.Contains(got.Header.Get("Proxy-Status"), "destination_ip_prohibited") {
		t.Errorf("%v", got.Header)
	}
}
