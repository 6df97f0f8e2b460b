package credential

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Unix(1700000000, 0)

func newAuth(t testing.TB, schemes ...Scheme) *Auth {
	t.Helper()
	a, err := New(schemes...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func read(t testing.TB, a *Auth, forms ...string) []Credential {
	t.Helper()
	credentials := make([]Credential, len(forms))
	for i, form := range forms {
		var err error
		if credentials[i], err = a.Read(i, []byte(form)); err != nil {
			t.Fatalf("%s: %v", form, err)
		}
	}
	return credentials
}

// said is all of a request that credentials can change.
func said(r *http.Request) string {
	lines := []string{r.URL.RequestURI()}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			lines = append(lines, name+": "+value)
		}
	}
	return strings.Join(lines, "\n")
}

// V6. Whatever the caller has put there is gone, and another attempt makes no
// difference.
func TestApply(t *testing.T) {
	for name, tc := range map[string]struct {
		schemes []Scheme
		forms   []string
		target  string
		header  http.Header
		want    string
	}{
		"nothing": {nil, nil, "/x?a=1", http.Header{"A": {"1"}}, "/x?a=1\nA: 1"},
		"none":    {[]Scheme{None{}}, []string{`{"type":"none"}`}, "/x?a=1", http.Header{"A": {"1"}}, "/x?a=1\nA: 1"},
		"header, spelled": {
			[]Scheme{APIKey{Place{"header", "X-API-KEY"}}}, []string{`{"type":"api_key","value":"s3 cr3t"}`}, "/x?x-api-key=1",
			http.Header{"X-Api-Key": {"a", "b"}, "x_api_key": {"c"}, "X.API.KEY": {"d"}, "X-Api-Key2": {"e"}}, "/x?x-api-key=1\nX-API-KEY: s3 cr3t\nX-Api-Key2: e",
		},
		"authorization without a prefix": {
			[]Scheme{APIKey{Place{"header", "Authorization"}}}, []string{`{"type":"api_key","value":"k"}`}, "/x", http.Header{"authorization": {"a"}}, "/x\nAuthorization: k",
		},
		"query": {
			[]Scheme{APIKey{Place{"query", "api_key"}}}, []string{`{"type":"api_key","value":"a b+c&d=é#%"}`}, "/x?b=%20+&api_key=1&&c", nil,
			"/x?b=%20+&&c&api_key=a%20b%2Bc%26d%3D%C3%A9%23%25",
		},
		"query alone": {[]Scheme{APIKey{Place{"query", "k[x]"}}}, []string{`{"type":"api_key","value":"v"}`}, "/x", nil, "/x?k%5Bx%5D=v"},
		"cookie": {
			[]Scheme{APIKey{Place{"cookie", "session"}}}, []string{`{"type":"api_key","value":"v=1"}`}, "/x",
			http.Header{"Cookie": {"a=1; session=x;b=\"2\"", "session=y", "SESSION=z ; c"}, "cookie": {"session =w"}}, "/x\nCookie: a=1; b=\"2\"; c; session=v=1",
		},
		"cookie alone": {[]Scheme{APIKey{Place{"cookie", "session"}}}, []string{`{"type":"api_key","value":"v"}`}, "/x", http.Header{"Cookie": {"session=x"}}, "/x\nCookie: session=v"},
		"basic": { // RFC 7617, section 2
			[]Scheme{Basic{}}, []string{`{"type":"basic","username":"Aladdin","password":"open sesame"}`}, "/x", http.Header{"Authorization": {"a"}, "AUTHORIZATION": {"b"}},
			"/x\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
		},
		"basic in UTF-8": { // RFC 7617, section 2.1
			[]Scheme{Basic{}}, []string{`{"type":"basic","username":"test","password":"123£"}`}, "/x", nil, "/x\nAuthorization: Basic dGVzdDoxMjPCow==",
		},
		"basic with a user alone": {[]Scheme{Basic{}}, []string{`{"type":"basic","username":"key"}`}, "/x", nil, "/x\nAuthorization: Basic a2V5Og=="},
		"bearer":                  {[]Scheme{Bearer{}}, []string{`{"type":"bearer","token":"t.o|k"}`}, "/x", http.Header{"Authorization": {"a"}}, "/x\nAuthorization: Bearer t.o|k"},
		"oauth2": {
			[]Scheme{OAuth2{}}, []string{`{"type":"oauth2","access_token":"at","refresh_token":"rt","expires_at":1700000001,"scope":"a b"}`}, "/x", nil, "/x\nAuthorization: Bearer at",
		},
		"certificate": {[]Scheme{Certificate{}}, []string{certificateForm(t)}, "/x", nil, "/x"},
		"several": {
			[]Scheme{Bearer{}, APIKey{Place{"header", "X-Key"}}, APIKey{Place{"query", "key"}}, APIKey{Place{"cookie", "key"}}, APIKey{Place{"cookie", "b"}}},
			[]string{
				`{"type":"bearer","token":"1"}`, `{"type":"api_key","value":"2"}`, `{"type":"api_key","value":"3"}`, `{"type":"api_key","value":"4"}`, `{"type":"api_key","value":"5"}`,
			}, "/x?key=evil", http.Header{"Cookie": {"key=evil"}, "x-key": {"evil"}, "Authorization": {"evil"}},
			"/x?key=3\nAuthorization: Bearer 1\nCookie: key=4; b=5\nX-Key: 2",
		},
	} {
		a := newAuth(t, tc.schemes...)
		r := httptest.NewRequest("GET", "https://api.example.com"+tc.target, nil)
		if tc.header != nil {
			r.Header = tc.header
		}
		credentials := read(t, a, tc.forms...)
		for attempt := range 3 {
			if err := a.Apply(r, Attempt{Now: now}, credentials); err != nil || said(r) != tc.want {
				t.Errorf("%s, attempt %d: %v\n%s\nwant\n%s", name, attempt, err, said(r), tc.want)
			}
		}
		if a.NeedsBody() {
			t.Errorf("%s needs the body", name)
		}
		// what is stored is what was read
		for i, c := range credentials {
			encoded, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if credentials[i], err = a.Read(i, encoded); err != nil || c.Type() != tc.schemes[i].Type() {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := a.Apply(r, Attempt{Now: now}, credentials); err != nil || said(r) != tc.want {
			t.Errorf("%s, stored: %v %s", name, err, said(r))
		}
	}
}

// Every spelling that some server takes for the parameter is gone, and of all
// others each byte is there.
func TestParameterSpellings(t *testing.T) {
	a := newAuth(t, APIKey{Place{"query", "api_key"}})
	credentials := read(t, a, `{"type":"api_key","value":"v"}`)
	for raw, want := range map[string]string{
		"": "", "a": "a", "&": "&", "&&a=&&": "&&a=&&", "a=1;b=2": "a=1;b=2", "=api_key": "=api_key", "a=api_key": "a=api_key", "api_key2=1": "api_key2=1",
		"xapi_key": "xapi_key", "%zz=1&%": "%zz=1&%", "a=%zz&b=+%20": "a=%zz&b=+%20",
		"api_key": "", "api_key=": "", "api_key=1": "", "api_key=1&api_key=2": "", "API_KEY=1": "", "Api-Key=1": "", "api.key=1": "", "api+key=1": "",
		"api%20key=1": "", "api%5Fkey=1": "", "%61pi_key=1": "", "%61%70%69%5f%6b%65%79=1": "", "%20api_key=1": "", "+api_key=1": "", "api_key[]=1": "",
		"api_key%5B0%5D=1": "", "api_key[a][b]=1": "", "api[key=1": "", "%20%20api%5Bkey=1": "", "api_key%00=1": "", "api_key%00x=1": "", "%61pi_key%00%zz=1": "", "api_key==": "", "api_key=%zz": "",
		"a=1&api_key=2&b=3": "a=1&b=3", "api_key=2&b=3": "b=3", "a=1&api_key=2": "a=1", "a=1;api_key=2;b=3": "a=1;b=3", "a=1&api_key=2;b=3": "a=1;b=3",
		"&api_key=1&b": "b", "a&&api_key=1&&b": "a&&&b", "api_key;b": "b", "api_key&api_key": "", "api_key&;b": "b",
	} {
		r := httptest.NewRequest("GET", "https://api.example.com/", nil)
		r.URL.RawQuery = raw
		if want != "" {
			want += "&"
		}
		if err := a.Apply(r, Attempt{}, credentials); err != nil || r.URL.RawQuery != want+"api_key=v" {
			t.Errorf("%q: %q, want %q", raw, r.URL.RawQuery, want+"api_key=v")
		}
	}
}

// A credential of the one cannot be another's by its place.
func TestNew(t *testing.T) {
	header := func(name string) Scheme { return APIKey{Place{"header", name}} }
	query := func(name string) Scheme { return APIKey{Place{"query", name}} }
	signed := HMAC{Place: Place{"header", "X-Sig"}, Inputs: []string{"date", "digest"}}
	for _, schemes := range [][]Scheme{
		{Basic{}, Bearer{}},
		{Bearer{}, OAuth2{}},
		{Basic{}, Basic{}},
		{OAuth2{}, header("authorization")},
		{header("X-Key"), header("x_key")},
		{query("api_key"), query("API-KEY")},
		{APIKey{Place{"cookie", "a"}}, APIKey{Place{"cookie", "A"}}},
		{Certificate{}, Certificate{}},
		{signed, header("Date")},
		{header("content-digest"), signed},
		{signed, signed},
		{header("")},
		{header("X Key")},
		{header("X-Key:")},
		{header("Host")},
		{header("host")},
		{header("Cookie")},
		{header("Content_Length")},
		{header("Transfer-Encoding")},
		{header("Connection")},
		{header("Proxy-Authorization")},
		{header(strings.Repeat("a", 65))},
		{query("")},
		{query("a b")},
		{query("é")},
		{query(strings.Repeat("a", 65))},
		{APIKey{Place{"cookie", ""}}},
		{APIKey{Place{"cookie", "a=b"}}},
		{APIKey{Place{"cookie", "a;b"}}},
		{APIKey{Place{"body", "a"}}},
		{APIKey{Place{"Header", "a"}}},
		{APIKey{}},
		slices.Repeat([]Scheme{None{}}, 9),
	} {
		if a, err := New(schemes...); err == nil {
			t.Errorf("%v are taken: %v", schemes, a.Types())
		}
	}
	a := newAuth(t, None{}, Bearer{}, header("X-Key"), query("X-Key"), APIKey{Place{"cookie", "X-Key"}}, signed, Certificate{})
	if types := a.Types(); !slices.Equal(types, []string{"none", "bearer", "api_key", "api_key", "api_key", "hmac", "certificate"}) {
		t.Errorf("%q", types)
	}
	if set := a.Headers(); !set.Has("authorization") || !set.Has("X_KEY") || !set.Has("Date") || !set.Has("Content-Digest") || !set.Has("X-Sig") || set.Has("Cookie") {
		t.Error("headers")
	}
}

// After a change of the config, nothing is sent with what is left from before;
// and what a failed attempt has put into the request is gone.
func TestMismatch(t *testing.T) {
	key := APIKey{Place{"header", "X-Key"}}
	one, other := newAuth(t, key, Bearer{}), newAuth(t, key, Basic{})
	credentials := read(t, one, `{"type":"api_key","value":"v"}`, `{"type":"bearer","token":"t"}`)
	for _, tc := range []struct {
		auth *Auth
		with []Credential
	}{
		{other, credentials}, {one, credentials[:1]}, {one, nil}, {one, append(credentials, credentials[0])}, {one, []Credential{credentials[1], credentials[0]}},
		{one, []Credential{credentials[0], {}}}, {newAuth(t), credentials[:1]}, {newAuth(t, OAuth2{}), credentials[1:]},
	} {
		r := httptest.NewRequest("GET", "https://api.example.com/", nil)
		r.Header = http.Header{"X-Key": {"caller's"}, "Authorization": {"caller's"}}
		if err := tc.auth.Apply(r, Attempt{Now: now}, tc.with); !errors.Is(err, ErrMismatch) {
			t.Errorf("%v: %v", tc.auth.Types(), err)
		}
		if strings.Contains(said(r), "v") && len(tc.auth.Types()) == 2 || strings.Contains(said(r), "Bearer") {
			t.Errorf("%v: %s", tc.auth.Types(), said(r))
		}
	}
	for _, scheme := range []int{-1, 2} {
		if _, err := one.Read(scheme, []byte(`{"type":"bearer","token":"t"}`)); err == nil {
			t.Errorf("%d", scheme)
		}
	}
	if encoded, err := (Credential{}).Encode(); err == nil {
		t.Errorf("%s", encoded)
	}
}

// S38
func TestExpiredTokenIsNeverSent(t *testing.T) {
	a := newAuth(t, OAuth2{})
	c, err := NewOAuth2(Token{Access: SecretOf("at"), Refresh: SecretOf("rt"), Scope: "a", Expires: now.Add(999 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]error{
		now.Add(-time.Hour): nil, now.Add(-1): nil, now: ErrExpired, now.Add(time.Hour): ErrExpired,
	} {
		r := httptest.NewRequest("GET", "https://api.example.com/", nil)
		r.Header.Set("Authorization", "caller's")
		err := a.Apply(r, Attempt{Now: at}, []Credential{c})
		if !errors.Is(err, want) || (err == nil) != (r.Header.Get("Authorization") == "Bearer at") || err != nil && len(r.Header) > 0 {
			t.Errorf("%v: %v %v", at, err, r.Header)
		}
	}
	// nor is what was to go with it
	a = newAuth(t, APIKey{Place{"header", "X-Key"}}, APIKey{Place{"query", "key"}}, APIKey{Place{"cookie", "key"}}, OAuth2{})
	const key = `{"type":"api_key","value":"k"}`
	r := httptest.NewRequest("GET", "https://api.example.com/", nil)
	if err := a.Apply(r, Attempt{Now: now}, append(read(t, a, key, key, key), c)); !errors.Is(err, ErrExpired) || said(r) != "/" {
		t.Errorf("%v: %s", err, said(r))
	}
	a = newAuth(t, OAuth2{})
	token, ok := c.Token()
	if !ok || token.Access.Reveal() != "at" || token.Refresh.Reveal() != "rt" || token.Scope != "a" || !token.Expires.Equal(now) || token.Expired(now.Add(-1)) {
		t.Errorf("%v %v", token, ok)
	}
	if c, err = NewOAuth2(Token{Access: SecretOf("at")}); err != nil || a.Apply(httptest.NewRequest("GET", "/", nil), Attempt{Now: now}, []Credential{c}) != nil {
		t.Errorf("%v", err)
	}
	if _, ok := read(t, newAuth(t, Bearer{}), `{"type":"bearer","token":"t"}`)[0].Token(); ok {
		t.Error("a bearer token is one of OAuth2")
	}
}

// S44: what an authorization server answers may be anything.
func TestNewOAuth2(t *testing.T) {
	long := strings.Repeat("a", 16<<10+1)
	for i, token := range []Token{
		{}, {Access: SecretOf("a\r\nX: 1")}, {Access: SecretOf("a b")}, {Access: SecretOf("a\x00")}, {Access: SecretOf("é")}, {Access: SecretOf(long)},
		{Access: SecretOf("a"), Refresh: SecretOf("a\n")}, {Access: SecretOf("a"), Refresh: SecretOf(long)},
		{Access: SecretOf("a"), Scope: "a\x00"}, {Access: SecretOf("a"), Scope: "\xff"}, {Access: SecretOf("a"), Expires: time.Unix(-1, 0)},
	} {
		if c, err := NewOAuth2(token); err == nil || !c.IsZero() {
			t.Errorf("%d is taken", i)
		}
	}
	for _, token := range []Token{
		{Access: SecretOf(long[1:]), Refresh: SecretOf(long[1:])}, {Access: SecretOf("a"), Scope: "x y"}, {Access: SecretOf("a"), Expires: time.Unix(1<<33, 0)},
	} {
		c, err := NewOAuth2(token)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again := read(t, newAuth(t, OAuth2{}), string(encoded))[0]
		if got, _ := again.Token(); got.Access.Reveal() != token.Access.Reveal() || got.Scope != token.Scope || !got.Expires.Equal(token.Expires) {
			t.Errorf("%s", encoded[:40])
		}
	}
}
