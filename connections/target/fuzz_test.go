package target

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzControls checks that reading never panics, that the one error is the
// documented one, and that nothing is left of control headers.
func FuzzControls(f *testing.F) {
	f.Add("X-Versori-Connection-Variable", "a=1&b=%2F", "a=2")
	f.Add("X-Connector-Ignore-Headers", "X-A, ,X-B", "Te")
	f.Add("x-versori-override-base-url", "https://a.example", "")
	f.Add("X-Versori-Force-Refresh-Credential", "true", "x")
	f.Add("X_Versori_Override_Base_Url", "x", "\x00")
	f.Fuzz(func(t *testing.T, name, first, second string) {
		h := http.Header{name: {first}, "X-Versori-Ignore-Headers": {second}, "X-Kept": {"1"}}
		c, err := ReadControls(h)
		if err != nil {
			if refusalOf(err).Code != CodeControl || len(refusalOf(err).Header) > 40 {
				t.Fatal(err)
			}
			return
		}
		c.StripRequest(h)
		for name := range h {
			folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(name))
			if strings.HasPrefix(folded, "x-versori-") || strings.HasPrefix(folded, "x-connector-") || folded == "authorization" || folded == "cookie" {
				t.Fatalf("%q", name)
			}
		}
	})
}

// FuzzLocate checks that no path, query or base URL of a request leads to a host
// or below a path that isn't the API's, and that the bytes stay what they were.
func FuzzLocate(f *testing.F) {
	f.Add("/a%2Fb", "x=1&x=2", "")
	f.Add("//a/|", "%zz", "https://other.example/v2")
	f.Add("/..%2f", "#", "https://other.example:443@evil.com")
	f.Add("", "", "HTTPS://OTHER.EXAMPLE")
	a := newAPI(f, "https://h.example/base", "other.example")
	f.Fuzz(func(t *testing.T, rest, query, base string) {
		u, err := a.Locate(nil, Controls{override: base}, &url.URL{RawQuery: query}, rest)
		if err != nil {
			if code := refusalOf(err).Code; code != CodePath && (base == "" || code != CodeOverride && code != CodeNotAllowed) {
				t.Fatalf("%v", err)
			}
			return
		}
		target := u.RequestURI()
		if query != "" && !strings.HasSuffix(target, "?"+query) || len(rest) > 1 && !strings.HasSuffix(strings.TrimSuffix(target, "?"+query), rest) {
			t.Fatalf("%q %q: %q", rest, query, target)
		}
		switch {
		case u.Scheme != "https" || u.User != nil || u.Fragment != "":
			t.Fatalf("%+v", u)
		case base == "" && (u.Host != "h.example" || !strings.HasPrefix(target, "/base")):
			t.Fatalf("%+v", u)
		case base != "" && u.Host != "other.example" && u.Host != "other.example:443":
			t.Fatalf("%+v", u)
		}
	})
}
