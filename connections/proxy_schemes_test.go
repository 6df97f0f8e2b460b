package connections

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"testing"
)

// V6: each scheme as it is on the wire, and what the caller sends in its place is
// not.
func TestSchemesOnTheWire(t *testing.T) {
	const key = `{"type":"api_key","value":"k3y +/=&"}`
	sign := func(text string) string {
		mac := hmac.New(sha256.New, []byte("s3cret-key"))
		mac.Write([]byte(text))
		return hex.EncodeToString(mac.Sum(nil))
	}
	sum := sha512.Sum512([]byte("{\"a\":1}"))
	digest := "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	for name, tc := range map[string]struct {
		auth, credentials string
		uri               string            // "": as it was asked
		fields            map[string]string // "" is none
	}{
		"none":          {"auth none", `null`, "", map[string]string{"Authorization": "", "Cookie": ""}},
		"header":        {"auth api_key header x-API-key", key, "", map[string]string{"X-Api-Key": "k3y +/=&"}},
		"query":         {"auth api_key query key", key, "/v2/x?a=%2F&&b&key=k3y%20%2B%2F%3D%26", nil},
		"cookie":        {"auth api_key cookie key", `{"type":"api_key","value":"k3y"}`, "", map[string]string{"Cookie": "key=k3y"}},
		"bearer":        {"auth bearer", `{"type":"bearer","token":"t0ken"}`, "", map[string]string{"Authorization": "Bearer t0ken"}},
		"basic":         {"auth basic", `{"type":"basic","username":"u","password":"p:ü"}`, "", map[string]string{"Authorization": "Basic dTpwOsO8"}},
		"authorization": {"auth api_key header Authorization", `{"type":"api_key","value":"Token k3y"}`, "", map[string]string{"Authorization": "Token k3y"}},
		"several": {"auth api_key header X-App\nauth api_key cookie key\nauth basic",
			`{"type":"api_key","value":"app"},{"type":"api_key","value":"k3y"},{"type":"basic","username":"u","password":""}`, "",
			map[string]string{"X-App": "app", "Cookie": "key=k3y", "Authorization": "Basic dTo="}},
		"hmac": {"auth hmac header X-Signature {\ninputs method path query body\nseparator \"\n\"\nprefix sha256=\n}", `{"type":"hmac","key":"s3cret-key"}`, "",
			map[string]string{"X-Signature": "sha256=" + sign("POST\n/v2/x\na=%2F&&b&key=mine\n{\"a\":1}")}},
		"hmac over a key": {"auth api_key query key\nauth hmac header X-Signature {\ninputs query\n}", key + `,{"type":"hmac","key":"s3cret-key"}`,
			"/v2/x?a=%2F&&b&key=k3y%20%2B%2F%3D%26", map[string]string{"X-Signature": sign("a=%2F&&b&key=k3y%20%2B%2F%3D%26")}},
		"hmac in the query": {"auth hmac query key {\ninputs body\n}", `{"type":"hmac","key":"s3cret-key"}`, "/v2/x?a=%2F&&b&key=" + sign(`{"a":1}`), nil},
		"hmac in a cookie":  {"auth hmac cookie key {\ninputs body\n}", `{"type":"hmac","key_base64":"czNjcmV0LWtleQ=="}`, "", map[string]string{"Cookie": "key=" + sign(`{"a":1}`)}},
		"hmac of a digest": {"auth hmac header X-Signature {\ninputs digest\nalgorithm sha512\nencoding base64\n}", `{"type":"hmac","key":"s3cret-key"}`, "",
			map[string]string{"Content-Digest": digest}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, nil)
			e := start(t, a.block("zendesk", tc.auth))
			id := e.connected("alice", "zendesk", named("a", `,"credentials":[`+tc.credentials+`]`))
			e.raw("POST", proxied(id, "/x?a=%2F&&b&key=mine"), []string{
				"Content-Length: 7", "Authorization: Basic bWluZQ==", "Cookie: key=mine; a=b", "X-API-KEY: mine", "x-app: mine", "X_App: mine", "X-Signature: mine", "content-digest: mine",
			}, `{"a":1}`).is(t, 200, "")
			got := a.one(t)
			if tc.uri == "" {
				tc.uri = "/v2/x?a=%2F&&b&key=mine"
			}
			if got.RequestURI != tc.uri || got.body != `{"a":1}` {
				t.Errorf("%s %s", got.RequestURI, got.body)
			}
			for name, want := range tc.fields {
				if values := got.Header[name]; want == "" && values != nil || want != "" && (len(values) != 1 || values[0] != want) {
					t.Errorf("%s: %q, want %q", name, values, want)
				}
			}
			if got.Header["X_app"] != nil && tc.fields["X-App"] != "" {
				t.Errorf("%v", got.Header)
			}
		})
	}
}

// What is signed is held, so it has a bound.
func TestSignedBody(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth hmac header X-Signature {\ninputs body\n}"))
	id := e.connected("alice", "zendesk", named("a", `,"credentials":[{"type":"hmac","key":"s3cret-key"}]`))
	for _, tc := range []struct{ size, status int }{{maxSigned, 200}, {maxSigned + 1, 413}} {
		body := string(pattern(tc.size))
		for way, send := range map[string]func(string) ([]string, string){"known": known, "chunked": chunked} {
			lines, sent := send(body)
			if got := e.raw("POST", proxied(id, "/x"), lines, sent); got.StatusCode != tc.status {
				t.Errorf("%d bytes, %s: %d", tc.size, way, got.StatusCode)
			}
		}
	}
	seen := a.seen()
	if len(seen) != 2 || len(seen[0].body) != maxSigned || len(seen[1].body) != maxSigned {
		t.Fatalf("the API was asked %d times", len(seen))
	}
	mac := hmac.New(sha256.New, []byte("s3cret-key"))
	mac.Write(pattern(maxSigned))
	if want := hex.EncodeToString(mac.Sum(nil)); seen[0].Header.Get("X-Signature") != want || seen[1].Header.Get("X-Signature") != want {
		t.Errorf("%v", seen[1].Header)
	}
}

// Credentials that are not there, or for other schemes, are not sent.
func TestUnusableCredentials(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth bearer"))
	pending := e.connected("alice", "zendesk", named("a", ""))
	e.call("alice", "GET", pending, "/x", "").is(t, http.StatusFailedDependency, "connection_pending")
	id := e.connected("alice", "zendesk", named("b", `,"credentials":[{"type":"bearer","token":"t0ken"}]`))
	e.call("alice", "GET", id, "/x", "").is(t, 200, "")
	a.one(t)
	e.load(a.block("zendesk", "auth basic"))
	e.call("alice", "GET", id, "/x", "").is(t, http.StatusFailedDependency, "credentials_outdated")
	e.load(a.block("zendesk", "auth bearer\nauth api_key header X-A"))
	e.call("alice", "GET", id, "/x", "").is(t, http.StatusFailedDependency, "credentials_outdated")
	e.load(a.block("other", "auth bearer"))
	e.call("alice", "GET", id, "/x", "").is(t, http.StatusNotFound, "api_unknown")
	if len(a.seen()) > 0 {
		t.Error("the API was asked")
	}
	e.load(a.block("zendesk", "auth bearer"))
	e.call("alice", "GET", id, "/x", "").is(t, 200, "")
}
