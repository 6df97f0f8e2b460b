package connections

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A server has a key for an owner's connections, and for no others.
func TestAPIKeys(t *testing.T) {
	t.Setenv("KEY_ALICE", "0123456789abcdef-alice")
	a := newAPI(t, nil)
	e := start(t, "api_key alice {env.KEY_ALICE}\napi_key org-1 0123456789abcdef-org1\n"+a.block("zendesk", "auth none"))
	id, of1 := e.connected("alice", "zendesk", named("a", "")), e.connected("org-1", "zendesk", named("a", ""))
	const alice, org1 = "Authorization: Bearer 0123456789abcdef-alice", "Authorization: bearer  0123456789abcdef-org1"
	for _, tc := range []struct {
		user, id, authorization string
		status                  int
		code                    string
	}{
		{"", id, alice, 200, ""},
		{"", of1, org1, 200, ""},
		{"", of1, alice, 404, "connection_unknown"},
		{"", id, org1, 404, "connection_unknown"},
		{"alice", id, org1, 404, "connection_unknown"}, // the key says who it is
		{"alice", of1, org1, 200, ""},
		{"", id, "Authorization: Bearer 0123456789abcdef-alicE", 401, "caller_missing"},
		{"", id, "Authorization: Bearer 0123456789abcdef-alic", 401, "caller_missing"},
		{"", id, "Authorization: Bearer ", 401, "caller_missing"},
		{"", id, "Authorization: Bearer {env.KEY_ALICE}", 401, "caller_missing"},
		{"", id, "Authorization: Basic 0123456789abcdef-alice", 401, "caller_missing"},
		{"", id, "Authorization: 0123456789abcdef-alice", 401, "caller_missing"},
		{"", id, "Authorization: JWT 0123456789abcdef-alice", 401, "caller_missing"}, // there is no key for tokens
		{"", id, "X-Api-Key: 0123456789abcdef-alice", 401, "caller_missing"},
		{"alice", id, "Authorization: Bearer not-one-of-ours", 200, ""}, // it is the authentication handler's
		{"bob", id, "Authorization: Bearer not-one-of-ours", 404, "connection_unknown"},
		{"alice", id, alice + "\r\n" + alice, 401, "token_invalid"},
		{"alice", id, "Authorization: Basic eDp5\r\n" + org1, 401, "token_invalid"},
	} {
		request, _, second := strings.Cut(tc.authorization, "\r\n")
		lines := []string{request}
		if second {
			lines = strings.Split(tc.authorization, "\r\n")
		}
		got := e.call(tc.user, "GET", tc.id, "/x", "", lines...)
		got.is(t, tc.status, tc.code)
		if (tc.status == 401) != (got.Header.Get("Www-Authenticate") != "") {
			t.Errorf("%v", got.Header)
		}
		seen := a.seen()
		if len(seen) != map[bool]int{true: 1}[tc.status == 200] || len(seen) > 0 && seen[0].Header["Authorization"] != nil {
			t.Errorf("%s: the API was asked %d times", tc.authorization, len(seen))
		}
	}
}

// issuer is who signs tokens.
type issuer struct {
	key    *rsa.PrivateKey
	public string // in PEM
	file   string // that has it
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	i := issuer{key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), filepath.Join(t.TempDir(), "key.pem")}
	if err := os.WriteFile(i.file, []byte(i.public), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i issuer) sign(t *testing.T, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	for name, value := range header {
		token.Header[name] = value
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// V8
func TestTokens(t *testing.T) {
	const one, two = "https://platform.example/sk/key1", "https://platform.example/sk/key2"
	first, second := newIssuer(t), newIssuer(t)
	a := newAPI(t, nil)
	e := start(t, "token_key "+one+" {file."+first.file+"}\ntoken_key "+two+" {file."+second.file+"}\n"+a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	type claims = map[string]any
	good := func(changes claims) claims {
		made := claims{"sub": "alice", "iss": one, "exp": in(time.Hour)}
		for name, value := range changes {
			if made[name] = value; value == nil {
				delete(made, name)
			}
		}
		return made
	}
	rs256 := func(changes claims) string {
		return first.sign(t, jwt.SigningMethodRS256, first.key, nil, good(changes))
	}
	valid := rs256(nil)
	parts := strings.Split(valid, ".")
	for name, tc := range map[string]struct {
		token  string
		status int
	}{
		"valid":             {valid, 200},
		"nbf":               {rs256(claims{"nbf": in(-time.Minute), "iat": in(-time.Minute)}), 200},
		"within the leeway": {rs256(claims{"exp": in(-5 * time.Second)}), 200},
		"other key":         {second.sign(t, jwt.SigningMethodRS256, second.key, nil, good(claims{"iss": two})), 200},
		"other user":        {rs256(claims{"sub": "bob"}), 404},
		"kid":               {first.sign(t, jwt.SigningMethodRS256, first.key, claims{"kid": "../x"}, good(nil)), 200},

		"none":           {first.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, good(nil)), 401},
		"None":           {first.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims{"alg": "None"}, good(nil)), 401},
		"HS256":          {first.sign(t, jwt.SigningMethodHS256, []byte(first.public), nil, good(nil)), 401},
		"HS256 as RS256": {first.sign(t, jwt.SigningMethodHS256, []byte(first.public), claims{"alg": "RS256"}, good(nil)), 401},
		"RS512":          {first.sign(t, jwt.SigningMethodRS512, first.key, nil, good(nil)), 401},
		"PS256":          {first.sign(t, jwt.SigningMethodPS256, first.key, nil, good(nil)), 401},
		"expired":        {rs256(claims{"exp": in(-time.Hour)}), 401},
		"no exp":         {rs256(claims{"exp": nil}), 401},
		"exp is null":    {first.sign(t, jwt.SigningMethodRS256, first.key, nil, claims{"sub": "alice", "iss": one, "exp": nil}), 401},
		"not yet":        {rs256(claims{"nbf": in(time.Hour)}), 401},
		"wrong issuer":   {rs256(claims{"iss": "https://platform.example/sk/key3"}), 401},
		"other's issuer": {rs256(claims{"iss": two}), 401},
		"other's key":    {second.sign(t, jwt.SigningMethodRS256, second.key, nil, good(nil)), 401},
		"no issuer":      {rs256(claims{"iss": nil}), 401},
		"issuers":        {rs256(claims{"iss": []string{one}}), 401},
		"no sub":         {rs256(claims{"sub": nil}), 401},
		"empty sub":      {rs256(claims{"sub": ""}), 401},
		"sub with CR":    {rs256(claims{"sub": "alice\r\nX: y"}), 401},
		"sub is a list":  {rs256(claims{"sub": []string{"alice"}}), 401},
		"critical":       {first.sign(t, jwt.SigningMethodRS256, first.key, claims{"crit": []string{"b64"}, "b64": false}, good(nil)), 401},
		"no signature":   {parts[0] + "." + parts[1] + ".", 401},
		"two parts":      {parts[0] + "." + parts[1], 401},
		"four parts":     {valid + ".x", 401},
		"changed":        {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"bob","iss":"`+one+`","exp":9999999999}`)) + "." + parts[2], 401},
		"two tokens":     {valid + " " + valid, 401},
		"nothing":        {"", 401},
		"no token":       {"x", 401},
	} {
		// who else the request is from does not count
		for _, user := range []string{"", "alice"} {
			got := e.call(user, "GET", id, "/x", "", "Authorization: JWT "+tc.token)
			if got.StatusCode != tc.status || tc.status == http.StatusUnauthorized && got.body["code"] != "token_invalid" {
				t.Errorf("%s: %d %s", name, got.StatusCode, got.text)
			}
		}
	}
	e.call("alice", "GET", id, "/x", "", "Authorization: JWT "+valid, "Authorization: JWT "+valid).is(t, 401, "token_invalid")
	e.call("", "GET", id, "/x", "", "Authorization: jwt "+valid).is(t, 200, "")
	e.call("", "GET", id, "/x", "", "Authorization: Bearer "+valid).is(t, 401, "caller_missing")
	e.call("", "GET", id, "/x?access_token="+valid, "").is(t, 401, "caller_missing")
	for _, r := range a.seen() {
		if r.Header["Authorization"] != nil {
			t.Error("the API has got a token")
		}
	}
}
