package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/credential"
)

func newClient(t testing.TB, change func(*Config)) *Client {
	t.Helper()
	c := validConfig()
	if change != nil {
		change(&c)
	}
	client, err := New(c, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAuthorizeURL(t *testing.T) {
	client := newClient(t, func(c *Config) {
		c.AuthorizeURL += "?b=%2f&a=1"
		c.AuthorizeParams = url.Values{"prompt": {"consent"}}
	})
	a := Authorization{
		State: "0123456789012345678901", RedirectURI: "https://edge.example.com/cb?x=1", Params: url.Values{"login_hint": {"a b"}},
		// the example of RFC 7636, appendix B
		Verifier: credential.SecretOf("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
	}
	const want = "https://as.example.com/authorize?b=%2f&a=1&client_id=id&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256" +
		"&login_hint=a+b&prompt=consent&redirect_uri=https%3A%2F%2Fedge.example.com%2Fcb%3Fx%3D1&response_type=code&scope=read+write%3Aall&state=0123456789012345678901"
	if got, err := client.AuthorizeURL(a); got != want || err != nil {
		t.Errorf("%s\n%v", got, err)
	}
	if again, _ := client.AuthorizeURL(a); again != want {
		t.Errorf("the second is %s", again)
	}
	a.Scopes = []string{"other"}
	if got, _ := client.AuthorizeURL(a); !strings.Contains(got, "&scope=other&") {
		t.Error(got)
	}
	a.Scopes = []string{}
	if got, _ := client.AuthorizeURL(a); strings.Contains(got, "scope") {
		t.Error(got)
	}
	for name, change := range map[string]func(*Authorization){
		"no state":           func(a *Authorization) { a.State = "" },
		"short state":        func(a *Authorization) { a.State = "123" },
		"no verifier":        func(a *Authorization) { a.Verifier = credential.Secret{} },
		"short verifier":     func(a *Authorization) { a.Verifier = credential.SecretOf("123") },
		"no redirect":        func(a *Authorization) { a.RedirectURI = "" },
		"a bad scope":        func(a *Authorization) { a.Scopes = []string{"a b"} },
		"the protocol's":     func(a *Authorization) { a.Params = url.Values{"redirect_uri": {"https://evil.example.com"}} },
		"the config's":       func(a *Authorization) { a.Params = url.Values{"prompt": {"none"}} },
		"that of the URL":    func(a *Authorization) { a.Params = url.Values{"a": {"2"}} },
		"a secret's":         func(a *Authorization) { a.Params = url.Values{"client_secret": {"x"}} },
		"a request object's": func(a *Authorization) { a.Params = url.Values{"request_uri": {"x"}} },
	} {
		other := a
		change(&other)
		if got, err := client.AuthorizeURL(other); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
	machine := newClient(t, func(c *Config) { c.Grant, c.AuthorizeURL = ClientCredentials, "" })
	if got, err := machine.AuthorizeURL(a); err == nil {
		t.Error(got)
	}
}

// S30: states and verifiers are of 256 bits, and no two are the same.
func TestRandom(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		seen[NewState()], seen[NewVerifier().Reveal()] = true, true
	}
	if len(seen) != 200 {
		t.Errorf("%d", len(seen))
	}
	for text := range seen {
		if len(text) != 43 || url.QueryEscape(text) != text {
			t.Errorf("%q", text)
		}
	}
}

func TestCode(t *testing.T) {
	const state = "0123456789012345678901"
	plain, named := newClient(t, nil), newClient(t, func(c *Config) { c.Issuer = "https://as.example.com" })
	for _, tc := range []struct {
		client *Client
		query  string
		want   string // the code, or the kind of the error, or "": ErrCallback
	}{
		{plain, "code=c1&state=" + state, "c1"},
		{plain, "code=c%2f1&other=x&other=y&state=" + state, "c/1"},
		{plain, "code=c1&iss=https://other.example.com&state=" + state, "c1"}, // who doesn't know RFC 9207 ignores it
		{plain, "code=c1&state=" + state + "x", ""},
		{plain, "code=c1&state=", ""},
		{plain, "code=c1", ""},
		{plain, "state=" + state, ""},
		{plain, "", ""},
		{plain, "code=c1&code=c2&state=" + state, ""},
		{plain, "code=c1&state=x&state=" + state, ""},
		{plain, "code=c1&error=access_denied&state=" + state, ""},
		{plain, "code=a%0ab&state=" + state, ""},
		{plain, "code=a%zz&state=" + state, ""},
		{plain, "code=" + strings.Repeat("x", maxCode+1) + "&state=" + state, ""},
		{plain, "error=access_denied&error_description=%3Cscript%3E&state=" + state, "reauth"},
		{plain, "error=access_denied&state=x", ""},
		{plain, "error=invalid_scope&state=" + state, "misconfigured"},
		{plain, "error=temporarily_unavailable&state=" + state, "transient"},
		{plain, "error=&state=" + state, "broken"},
		{plain, "error=%3Cscript%3E&state=" + state, "broken"},
		{named, "code=c1&iss=https%3A%2F%2Fas.example.com&state=" + state, "c1"},
		{named, "code=c1&state=" + state, ""},
		{named, "code=c1&iss=https://as.example.com/&state=" + state, ""},
		{named, "code=c1&iss=https://evil.example.com&state=" + state, ""},
		{named, "code=c1&iss=https://as.example.com&iss=https://as.example.com&state=" + state, ""},
		{named, "error=access_denied&state=" + state, ""},
		{named, "error=access_denied&iss=https://as.example.com&state=" + state, "reauth"},
	} {
		var code credential.Secret
		answer, err := ReadCallback(tc.query)
		if err == nil {
			code, err = tc.client.Code(answer, state)
		}
		got := code.Reveal()
		var refused *Error
		switch {
		case errors.As(err, &refused):
			got = refused.Kind.String()
			if strings.Contains(err.Error(), "<") {
				t.Errorf("%s: %v", tc.query, err)
			}
		case err != nil && !errors.Is(err, ErrCallback):
			t.Errorf("%s: %v", tc.query, err)
		}
		if got != tc.want || (err == nil) != (code != credential.Secret{}) {
			t.Errorf("%s: %q %v, want %q", tc.query, got, err, tc.want)
		}
	}
	if SameState("", "") {
		t.Error("no state is the same as none")
	}
}

// FuzzCallback checks that of any query, only a code for the same state, of the
// same server, is taken.
func FuzzCallback(f *testing.F) {
	const state = "0123456789012345678901"
	f.Add("code=c&iss=https://as.example.com&state=" + state)
	f.Add("error=access_denied&iss=https%3A%2F%2Fas.example.com&state=" + state)
	f.Add("code=c;state=x&%zz")
	client := newClient(f, func(c *Config) { c.Issuer = "https://as.example.com" })
	f.Fuzz(func(t *testing.T, query string) {
		answer, err := ReadCallback(query)
		if err != nil {
			return
		}
		code, err := client.Code(answer, state)
		if (err == nil) == code.IsZero() || err != nil && (len(err.Error()) > 200 || !isPrintable(err.Error())) {
			t.Fatalf("%v %v", code, err)
		}
		values, _ := url.ParseQuery(query)
		if err == nil && (values.Get("state") != state || values.Get("iss") != "https://as.example.com" || values.Get("code") != code.Reveal() || values.Has("error")) {
			t.Fatal(query)
		}
	})
}
