package connections

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const goodKey = `{"name":"mine","variables":[{"name":"account","value":"1"}],"credentials":[{"type":"api_key","value":"s3cret-key"}]}`

// A connection of somebody else's, or to another API, is answered as one that
// was never there: to the byte, and in each operation.
func TestIsolation(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(a.varied("varied", "auth api_key header X-Key") + a.varied("other", "auth api_key header X-Key"))
		id := e.connected("alice", "varied", goodKey)
		deleted := e.connected("alice", "varied", `{"name":"gone"}`)
		e.do("alice", "DELETE", placeOf("varied", deleted), "").is(t, http.StatusNoContent, "")
		e.call("alice", "GET", id, "/x", "").is(t, http.StatusOK, "") // it is in memory
		a.seen()
		before := e.do("alice", "GET", placeOf("varied", id), "").text
		for _, to := range []struct{ user, api, id string }{
			{"bob", "varied", id}, {"Alice", "varied", id}, {"alice", "other", id},
			{"bob", "varied", deleted}, {"alice", "varied", deleted},
			{"bob", "varied", ulidOfNobody}, {"bob", "varied", "x"}, {"alice", "varied", "0" + id}, {"alice", "varied", "%00"},
		} {
			var want string
			for _, request := range [][3]string{
				{"GET", "", ""}, {"DELETE", "", ""}, {"PUT", "", `{"id":"` + id + `","name":"stolen","variables":[]}`},
				{"PUT", "/credentials/0", `{"type":"api_key","value":"stolen-key"}`}, {"PUT", "/credentials/9", `{}`}, {"POST", "/test", ""},
			} {
				got := e.do(to.user, request[0], placeOf(to.api, to.id)+request[1], request[2])
				got.is(t, http.StatusNotFound, "connection_unknown")
				if want == "" {
					want = got.text
				}
				if got.text != want {
					t.Errorf("%v %v: %s, want %s", to, request, got.text, want)
				}
			}
			if to.api != "other" {
				got := e.call(to.user, "GET", to.id, "/x", "")
				if got.is(t, http.StatusNotFound, "connection_unknown"); got.text != want {
					t.Errorf("a call of %v: %s, want %s", to, got.text, want)
				}
			}
		}
		for _, path := range []string{connect + "varied/connections", connect + "other/connections"} {
			got := e.do("bob", "GET", path, "")
			if got.is(t, http.StatusOK, ""); got.text != `{"totalCount":0,"connections":[]}`+"\n" {
				t.Errorf("bob's: %s", got.text)
			}
		}
		// no organisation but one's own is there
		e.do("bob", "GET", "/api/connect/v1/o/alice/connectors/varied/connections", "").is(t, http.StatusNotFound, "organisation_unknown")
		e.do("bob", "GET", "/api/connect/v1/o/nobody/connectors/varied/connections", "").is(t, http.StatusNotFound, "organisation_unknown")
		e.connected("bob", "varied", goodKey) // names of others are free
		if after := e.do("alice", "GET", placeOf("varied", id), "").text; after != before {
			t.Errorf("changed from %s to %s", before, after)
		}
		if asked := a.seen(); len(asked) > 0 {
			t.Errorf("the API was asked %d times", len(asked))
		}
	})
}

// An API key and a token are as good as the site's own user, each for its owner.
func TestOtherCallers(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encoded}), 0o600); err != nil {
		t.Fatal(err)
	}
	const issuer = "https://platform.example/sk/1"
	token := func(user string) string {
		signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"sub": user, "iss": issuer, "exp": time.Now().Add(time.Hour).Unix()}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: JWT " + signed
	}
	a := newAPI(t, nil)
	t.Setenv("CONNECTIONS_TEST_KEY", "0123456789abcdef")
	e := start(t, a.varied("varied", "auth api_key header X-Key")+"api_key acme {env.CONNECTIONS_TEST_KEY}\ntoken_key "+issuer+" {file."+path+"}")
	const list = connect + "varied/connections"
	for owner, as := range map[string]string{"acme": "Authorization: Bearer 0123456789abcdef", "alice": token("alice")} {
		made := e.do("", "POST", "/api/connect/v1/o/"+owner+"/connectors/varied/connections", goodKey, as)
		made.is(t, http.StatusCreated, "")
		one := placeOf("varied", made.id())
		e.do("", "GET", one, "", as).is(t, http.StatusOK, "")
		e.do(owner, "GET", one, "").is(t, http.StatusOK, "") // it is the site's user of that name
		e.do("bob", "GET", one, "").is(t, http.StatusNotFound, "connection_unknown")
		e.do("", "GET", one, "", token("bob")).is(t, http.StatusNotFound, "connection_unknown")
		e.do("", "POST", one+"/test", "", as, "Origin: https://app.example").is(t, http.StatusOK, "") // a page that has it
		if asked := a.one(t); asked.Header.Get("Authorization") != "" || asked.Header.Get("X-Key") != "s3cret-key" {
			t.Errorf("the test has %v", asked.Header)
		}
		e.call("", "GET", made.id(), "/x", "", as).is(t, http.StatusOK, "")
		if asked := a.one(t); asked.Header.Get("Authorization") != "" {
			t.Errorf("the call has %v", asked.Header)
		}
		e.do("", "DELETE", one, "", as).is(t, http.StatusNoContent, "")
	}
	got := e.do("", "GET", list, "", "Authorization: JWT x")
	if got.is(t, http.StatusUnauthorized, "token_invalid"); got.Header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	e.do("", "GET", list, "", "Authorization: Bearer 0123456789abcdeF").is(t, http.StatusUnauthorized, "caller_missing")
}
