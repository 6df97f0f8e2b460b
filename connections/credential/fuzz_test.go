package credential

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

func fuzzedSchemes() []Scheme {
	return []Scheme{
		None{}, APIKey{Place{"header", "X-Key"}}, APIKey{Place{"query", "api_key"}}, APIKey{Place{"cookie", "key"}}, Basic{}, Bearer{}, OAuth2{},
		HMAC{Place: Place{"header", "X-Sig"}, Inputs: []string{"date", "url"}}, Certificate{},
	}
}

// FuzzRead checks that reading never panics, that errors are the documented one,
// and that what is read can be stored and sent: a header with nothing that would
// end it.
func FuzzRead(f *testing.F) {
	for _, form := range []string{
		`{"type":"none"}`, `{"type":"api_key","value":"s3cr3t"}`, `{"type":"basic","username":"u","password":"p"}`, `{"type":"bearer","token":"t"}`,
		`{"type":"oauth2","access_token":"a","refresh_token":"r","expires_at":1700000000,"scope":"s"}`, `{"type":"hmac","key_base64":"AP8="}`,
		`{"type":"hmac","key":"\u0000"}`, `{"type":"api_key","value":"\r\n"}`, `{`, certificateForm(f),
	} {
		for i := range fuzzedSchemes() {
			f.Add(i, form)
		}
	}
	f.Fuzz(func(t *testing.T, index int, form string) {
		schemes := fuzzedSchemes()
		a := newAuth(t, schemes[uint(index)%uint(len(schemes))])
		c, err := a.Read(0, []byte(form))
		if err != nil {
			if !errors.As(err, new(*FieldError)) || !c.IsZero() || len(err.Error()) > 100 {
				t.Fatal(err)
			}
			return
		}
		encoded, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := a.Read(0, encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		one, other := applied(t, a, c), applied(t, a, again)
		if one != other {
			t.Fatalf("%s\n%s", one, other)
		}
	})
}

func applied(t *testing.T, a *Auth, c Credential) string {
	r := httptest.NewRequest("GET", "https://api.example.com/x?a=1", nil)
	if err := a.Apply(r, Attempt{Now: now}, []Credential{c}); err != nil && !errors.Is(err, ErrExpired) {
		t.Fatal(err)
	}
	for name, values := range r.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) || strings.TrimSpace(value) != value {
				t.Fatalf("%s: %q", name, value)
			}
		}
	}
	read, err := url.Parse(r.URL.String())
	if err != nil || read.Host != "api.example.com" || read.Path != "/x" || read.Fragment != "" || read.Query().Get("a") != "1" || len(read.Query()) > 2 {
		t.Fatalf("%s: %v", r.URL, err)
	}
	return said(r)
}

// FuzzApply checks that of a caller's query and cookies, nothing passes for the
// credential, what is for others stays, and attempts don't add up.
func FuzzApply(f *testing.F) {
	f.Add("a=1&api_key=2;b&API%2dKEY[]=3", "a=1; key=2")
	f.Add("&&;=&%61pi_key%00", ";;key ;=")
	f.Add("api[key=1&%zz", "KEY[x]=1")
	a := newAuth(f, APIKey{Place{"query", "api_key"}}, APIKey{Place{"cookie", "key"}})
	credentials := read(f, a, `{"type":"api_key","value":"s3cr3t"}`, `{"type":"api_key","value":"s3cr3t"}`)
	f.Fuzz(func(t *testing.T, query, cookies string) {
		r := httptest.NewRequest("GET", "https://api.example.com/", nil)
		r.URL.RawQuery, r.Header = query, http.Header{"Cookie": {cookies}}
		if err := a.Apply(r, Attempt{}, credentials); err != nil {
			t.Fatal(err)
		}
		first := r.URL.RawQuery + "\n" + r.Header.Get("Cookie")
		if err := a.Apply(r, Attempt{}, credentials); err != nil || r.URL.RawQuery+"\n"+r.Header.Get("Cookie") != first {
			t.Fatalf("%q, %s %s: %v", first, r.URL.RawQuery, r.Header, err)
		}
		before, _ := url.ParseQuery(query)
		after, _ := url.ParseQuery(r.URL.RawQuery)
		count := 0
		for name, values := range after {
			if strings.EqualFold(strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(name), "api_key") {
				count += len(values)
			}
		}
		if count != 1 || after.Get("api_key") != "s3cr3t" {
			t.Fatalf("%q: %q", query, r.URL.RawQuery)
		}
		if !strings.ContainsAny(query, ";") {
			for name, values := range before {
				if folded := strings.ToLower(name); !strings.Contains(folded, "api") && len(after[name]) != len(values) {
					t.Fatalf("%q: %q lacks %q", query, r.URL.RawQuery, name)
				}
			}
		}
		count = 0
		for _, cookie := range r.Cookies() {
			if strings.EqualFold(cookie.Name, "key") {
				count++
			}
		}
		if line := r.Header["Cookie"]; len(line) != 1 || count > 1 || !strings.HasSuffix(line[0], "key=s3cr3t") {
			t.Fatalf("%q: %q", cookies, line)
		}
	})
}
