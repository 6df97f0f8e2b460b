package target

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/template"
)

func newAPI(t testing.TB, base string, allowed ...string) *API {
	t.Helper()
	tmpl, err := template.Parse(base, map[string]template.Variable{"subdomain": {Overridable: true}})
	if err != nil {
		tmpl, err = template.Parse(base, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(tmpl, allowed...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func override(t testing.TB, raw string) Controls {
	t.Helper()
	c, err := ReadControls(http.Header{"X-Versori-Override-Base-Url": {raw}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// V2: what the caller wrote is what goes on.
func TestLocate(t *testing.T) {
	for _, tc := range []struct{ base, rest, query, want string }{
		{"https://api.example.com", "", "", "https://api.example.com/"},
		{"https://api.example.com", "/", "", "https://api.example.com/"},
		{"https://api.example.com/", "/x", "", "https://api.example.com/x"},
		{"https://api.example.com/v1", "", "", "https://api.example.com/v1"},
		{"https://api.example.com/v1/", "", "", "https://api.example.com/v1/"},
		{"https://api.example.com/v1/", "/", "", "https://api.example.com/v1/"},
		{"https://api.example.com/v1", "/a/b", "x=1", "https://api.example.com/v1/a/b?x=1"},
		{"https://api.example.com/v1/", "/a", "", "https://api.example.com/v1/a"},
		{"https://api.example.com/v%2F1", "/a%2Fb%2f", "", "https://api.example.com/v%2F1/a%2Fb%2f"},
		{"https://api.example.com/v1", "//a//", "", "https://api.example.com/v1//a//"},
		{"https://api.example.com", "/a%20b+c;d=e,f", "", "https://api.example.com/a%20b+c;d=e,f"},
		{"https://api.example.com", "/%7Eu/~u/%61", "", "https://api.example.com/%7Eu/~u/%61"},
		{"https://api.example.com", "/a|b", "", "https://api.example.com/a|b"},
		{"https://api.example.com", "/x", "a=1&a=2&b=&c&&=d;e", "https://api.example.com/x?a=1&a=2&b=&c&&=d;e"},
		{"https://api.example.com", "/x", "q=a+b%20c%2B%2f&u=%zz", "https://api.example.com/x?q=a+b%20c%2B%2f&u=%zz"},
		{"https://api.example.com", "/x", "u=https://evil.com/../@", "https://api.example.com/x?u=https://evil.com/../@"},
		{"https://api.example.com", "/{{subdomain}}/${a}/{b}", "x={{subdomain}}", "https://api.example.com/{{subdomain}}/${a}/{b}?x={{subdomain}}"}, // S16
		{"https://{{subdomain}}.example.com/v1", "/x", "", "https://acme.example.com/v1/x"},
		{"https://h.example/{{subdomain}}", "/x", "", "https://h.example/acme/x"},
	} {
		u, err := newAPI(t, tc.base).Locate(map[string]string{"subdomain": "acme"}, Controls{}, &url.URL{RawQuery: tc.query}, tc.rest)
		if err != nil || u.Scheme+"://"+u.Host+u.RequestURI() != tc.want {
			t.Errorf("%s %s: %v %v, want %s", tc.base, tc.rest, u, err, tc.want)
		}
	}
	u, err := newAPI(t, "https://h.example").Locate(nil, Controls{}, &url.URL{ForceQuery: true}, "/x")
	if err != nil || u.RequestURI() != "/x?" {
		t.Errorf("%v %v", u, err)
	}
}

func TestLocateVariables(t *testing.T) {
	a := newAPI(t, "https://{{subdomain}}.example.com")
	c, err := ReadControls(http.Header{"X-Versori-Connection-Variable": {"subdomain=other"}})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := a.Locate(map[string]string{"subdomain": "acme"}, c, &url.URL{}, ""); err != nil || u.Host != "other.example.com" {
		t.Errorf("%v %v", u, err)
	}
	var refusal *template.Refusal
	if _, err := a.Locate(nil, Controls{}, &url.URL{}, ""); !errors.As(err, &refusal) || refusal.Code != template.CodeMissing {
		t.Errorf("%v", err)
	}
}

// S12, S14: what could leave the base path, or be read differently.
func TestRefusedPaths(t *testing.T) {
	for _, base := range []string{"https://h.example", "https://h.example/v1"} {
		a := newAPI(t, base, "other.example")
		for _, tc := range []struct{ rest, query string }{
			{"/..", ""}, {"/../x", ""}, {"/.", ""}, {"/a/../b", ""}, {"/%2e%2e/", ""}, {"/%252e%252e/", ""}, {"/..%2f", ""}, {"/..;/", ""},
			{"/a\\b", ""}, {"/%5c", ""}, {"/%00", ""}, {"/%0d%0a", ""}, {"/\n", ""}, {"/#", ""}, {"/%c0%ae%c0%ae/", ""}, {"x", ""},
			{"@evil.com", ""}, {":80", ""}, {".evil.com", ""}, {"?x", ""}, {"/%zz", ""},
			{"/", "a#b"}, {"/", "a b"}, {"/", "a\r\nb"}, {"/", "\x00"}, {"/", "\x7f"},
		} {
			for _, c := range []Controls{{}, override(t, "https://other.example")} {
				if u, err := a.Locate(nil, c, &url.URL{RawQuery: tc.query}, tc.rest); refusalOf(err).Code != CodePath {
					t.Errorf("%q %q: %v %v", tc.rest, tc.query, u, err)
				}
			}
		}
	}
	// without a base path, the rest would be read as an authority
	if _, err := newAPI(t, "https://h.example").Locate(nil, Controls{}, &url.URL{}, "//evil.com/|"); refusalOf(err).Code != CodePath {
		t.Errorf("%v", err)
	}
}

func TestOverride(t *testing.T) {
	a := newAPI(t, "https://{{subdomain}}.example.com/v1", "api.example.com", "Eu.Example.com:8443", "[2001:DB8::1]", "10.0.0.1:443")
	for raw, want := range map[string]string{
		"https://api.example.com":              "https://api.example.com/x",
		"https://api.example.com/":             "https://api.example.com/x",
		"https://api.example.com/v2/":          "https://api.example.com/v2/x",
		"https://api.example.com/a%2Fb":        "https://api.example.com/a%2Fb/x",
		"HTTPS://API.EXAMPLE.COM":              "https://api.example.com/x",
		"https://api.example.com:443":          "https://api.example.com:443/x",
		"https://eu.example.com:8443/v1":       "https://eu.example.com:8443/v1/x",
		"https://[2001:db8::1]":                "https://[2001:db8::1]/x",
		"https://[2001:db8:0:0:0:0:0:1]:443/v": "https://[2001:db8:0:0:0:0:0:1]:443/v/x",
		"https://10.0.0.1":                     "https://10.0.0.1/x",
	} {
		u, err := a.Locate(nil, override(t, raw), &url.URL{}, "/x")
		if err != nil || u.String() != want {
			t.Errorf("%s: %v %v", raw, u, err)
		}
	}
}

// S18: none of these is a base URL on a host that is allowed.
func TestOverrideTricks(t *testing.T) {
	a := newAPI(t, "https://{{subdomain}}.example.com/v1", "api.example.com", "eu.example.com:8443")
	invalid := []string{
		"api.example.com", "//api.example.com", "/api.example.com", "https:api.example.com", "https:/api.example.com", "https:///api.example.com",
		"https:\\\\api.example.com", "https://", "https:// api.example.com", "http://api.example.com", "ftp://api.example.com", "wss://api.example.com",
		"httpſ://api.example.com", "javascript:alert(1)", "file:///etc/passwd", "data:,x", "xhttps://api.example.com",
		"https://user@api.example.com", "https://user:pw@api.example.com", "https://@api.example.com", "https://api.example.com@evil.com",
		"https://api.example.com:443@evil.com", "https://evil.com#@api.example.com", "https://evil.com?@api.example.com",
		"https://evil.com\\@api.example.com", "https://evil.com%2F@api.example.com", "https://api.example.com:@evil.com",
		"https://api.example.com?x", "https://api.example.com/?x", "https://api.example.com/?", "https://api.example.com#", "https://api.example.com/#x",
		"https://api.example.com%2eevil.com", "https://api.example.com%00.evil.com", "https://api.example.com\\.evil.com",
		"https://api.example.com.", "https://api.example.com..", "https://.api.example.com", "https://api..example.com",
		"https://api.example.com:", "https://api.example.com:0", "https://api.example.com:0443", "https://api.example.com:443x",
		"https://api.example.com:99999", "https://api.example.com:443:443", "https://api.example.com:-1", "https://api.example.com: 443",
		"https://api.example.com/..", "https://api.example.com/%2e%2e/x", "https://api.example.com/..;/", "https://api.example.com/%252e%252e/",
		"https://api.example.com/\\evil.com", "https://api.example.com/%00", "https://api.example.com/%0d%0aX:1", "https://api.example.com/%",
		"https://api\u3002example\u3002com", "https://api.example\uff0ecom", "https://аpi.example.com", "https://api.exam\u00adple.com",
		"https://ａpi.example.com", "https://api.example.com\u2044x", "https://api.example.com\uff0fx", "https://api.example.com\u200b",
		"https://{{subdomain}}.example.com", "https://{{subdomain}}api.example.com", "https://api.example.com/{{subdomain}}", "https://{api.example.com}",
		"https://api.example.com\x00", "https://api.example.com\n", "https://api.example.com\tx", "https://api.example.com,https://evil.com",
		"https://api.example.com https://evil.com", "https://[::1", "https://::1", "https://[api.example.com]", "https://[::1%25eth0]",
		"https://[::ffff:10.0.0.1]", "https://0x7f.1", "https://2130706433", "https://127.1", "https://" + strings.Repeat("a", 3000),
	}
	elsewhere := []string{
		"https://evil.com", "https://api.example.com.evil.com", "https://evil.com/api.example.com", "https://evil.com/https://api.example.com",
		"https://xapi.example.com", "https://api.example.comx", "https://x.api.example.com", "https://example.com", "https://api-example.com",
		"https://api.example.com:8443", "https://api.example.com:80", "https://eu.example.com", "https://eu.example.com:443", "https://acme.example.com",
		"https://localhost", "https://127.0.0.1", "https://169.254.169.254/latest", "https://[::1]", "https://metadata.google.internal",
		"https://xn--pi-6kc.example.com", "https://api_example.com", "https://api.example.co",
	}
	if len(invalid)+len(elsewhere) < 60 {
		t.Fatal("too few")
	}
	for _, raw := range invalid {
		refused(t, a, raw, CodeOverride)
	}
	for _, raw := range elsewhere {
		refused(t, a, raw, CodeNotAllowed)
	}
	// off by default
	refused(t, newAPI(t, "https://api.example.com"), "https://api.example.com", CodeNotAllowed)
}

func refused(t *testing.T, a *API, raw, code string) {
	t.Helper()
	u, err := a.Locate(map[string]string{"subdomain": "acme"}, Controls{override: raw}, &url.URL{}, "/x")
	if got := refusalOf(err); u != nil || got != (Refusal{code, "X-Connector-Override-Base-Url"}) || strings.Contains(err.Error(), "evil") {
		t.Errorf("%q: %v %v", raw, u, got)
	}
}

func TestNew(t *testing.T) {
	tmpl, err := template.Parse("https://h.example/?x=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(tmpl); err == nil {
		t.Error("a query is taken")
	}
	if tmpl, err = template.Parse("https://h.example", nil); err != nil {
		t.Fatal(err)
	}
	for _, allowed := range [][]string{
		{""}, {"*"}, {"*.example.com"}, {"https://a.example"}, {"a.example/"}, {"a.example/x"}, {"a.example?x"}, {"u@a.example"}, {"a.example:x"},
		{"a.example#"}, {"{{a}}.example.com"}, {"a.example."}, {"ä.example"}, {"a.example", "A.example:443"}, {"[::1]", "[0:0::1]"}, {"a b"}, {"a,b"},
	} {
		if _, err := New(tmpl, allowed...); err == nil {
			t.Errorf("%q are taken", allowed)
		}
	}
}
