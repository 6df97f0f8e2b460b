package connections

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// What is told to be missing, by what the API asks for, the config has and was
// granted.
func TestScopesMissing(t *testing.T) {
	many := make([]string, maxScopes+2)
	for i := range many {
		many[i] = strings.Repeat("s", i+1)
	}
	insufficient := func(scope string) string {
		return `Bearer realm="x", error="insufficient_scope", scope="` + scope + `"`
	}
	for name, test := range map[string]struct {
		challenge, configured, granted string
		want                           []string
	}{
		"asked":                           {insufficient("read write"), "", "", []string{"read", "write"}},
		"asked, and has one":              {insufficient("read write"), "read write", "read", []string{"write"}},
		"asked, and has more":             {insufficient("admin"), "read write", "read", []string{"admin"}},
		"asked, and has all":              {insufficient("read"), "read write", "read", nil},
		"asked twice":                     {insufficient("write write"), "read", "read", []string{"write"}},
		"asked, with commas":              {insufficient("a,b"), "", "a", []string{"b"}},
		"asked, and it is not known":      {insufficient("read"), "read", "", []string{"read"}},
		"asked, but nothing":              {insufficient(" "), "read write", "read", []string{"write"}},
		"asked what cannot be":            {insufficient(`a` + "\x7f b " + strings.Repeat("x", maxName+1)), "", "", []string{"b"}},
		"asked much":                      {insufficient(strings.Join(many, " ")), "", "s ss", many[2:]},
		"another error":                   {`Bearer error="invalid_token", scope="admin"`, "read write", "read", []string{"write"}},
		"not asked":                       {"", "read write", "read", []string{"write"}},
		"not asked, and has all":          {"", "read write", "write read", nil},
		"not asked, and has them comma'd": {"", "read write admin", "read,write", []string{"admin"}},
		"not asked, and it is not known":  {"", "read write", "", nil},
		"of the grant itself":             {"", "openid offline_access read", "read", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := &API{oauth: new(oauth.Client), Auth: []*Scheme{{Type: "oauth2", OAuth2: &OAuth2{Scopes: strings.Fields(test.configured)}}}}
			res := &http.Response{Header: http.Header{"Www-Authenticate": {`Basic realm="a"`, test.challenge}}}
			if got := a.scopesMissing(res, credential.Token{Scope: test.granted}); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// A user leaves out a scope at the sign-in page, or grants more; and an API that
// asks for the access token as its scope does not get it shown.
func TestScopesOfAGrant(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{Scopes: []string{"read", "write", "admin"}})
	challenge := ""
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "TOKEN", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		}
		w.WriteHeader(http.StatusForbidden)
	})
	site := strings.Replace(as.block(""), "base_url "+as.url, "base_url "+a.URL, 1)
	e := start(t, strings.Replace(site, "scopes read", "scopes read write", 1))
	b := &browser{e: e, user: "alice"}
	signIn := func(name, scope string) string {
		t.Helper()
		got := b.open(e.initialise("alice", `{"name":"`+name+`","returnTo":"/"}`))
		got.is(t, http.StatusSeeOther, "")
		asked := got.Header.Get("Location")
		left := strings.Replace(asked, "scope=read+write", "scope="+scope, 1)
		if left == asked {
			t.Fatalf("asked for %s", asked)
		}
		back, err := oauthtest.SignIn(t.Context(), left, "alice", "wonderland")
		if err != nil {
			t.Fatal(err)
		}
		got = b.open(back.String())
		got.is(t, http.StatusSeeOther, "")
		_, id, _ := strings.Cut(got.Header.Get("Location"), "connection=")
		return id
	}
	fewer, others := signIn("fewer", "read"), signIn("others", "admin+write+read&a=b")
	for _, test := range []struct {
		id, challenge string
		want          []any
	}{
		{fewer, "", []any{"write"}},
		{others, "", nil},
		{fewer, `Bearer error="insufficient_scope", scope="read admin"`, []any{"admin"}},
		{others, `Bearer error="insufficient_scope", scope="read admin"`, nil},
		{fewer, `Bearer error="insufficient_scope", scope="TOKEN"`, []any{"REDACTED"}},
	} {
		challenge = test.challenge
		time.Sleep(testPace)
		want := jsonObject{"ok": false, "stage": "scope", "status": 403.0}
		if test.want != nil {
			want["scopes_missing"] = test.want
		}
		if got, _ := e.tested("alice", "crm", test.id); !reflect.DeepEqual(got, want) {
			t.Errorf("with the challenge %q: %v, want %v", test.challenge, got, want)
		}
	}
}
