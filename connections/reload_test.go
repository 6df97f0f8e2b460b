package connections

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
)

// A value that the API itself tells is kept with the connection, and used from
// then on by whoever has the database: another config, and one that is started
// later.
func TestValueOfTheAPI(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"account":"acme-42"}`))
		})
		site := "api crm {\nbase_url " + a.URL + "/{{account}}\nvariable account {\ndefault unknown\n}\nauth bearer\n}\n"
		e.start(site)
		id := e.connected("alice", "crm", `{"name":"mine","credentials":[{"type":"bearer","token":"t0ken"}]}`)
		told := e.call("alice", "GET", id, "/whoami", "")
		told.is(t, http.StatusOK, "")
		if asked := a.one(t); asked.RequestURI != "/unknown/whoami" || asked.Header.Get("Authorization") != "Bearer t0ken" {
			t.Errorf("asked %s with %v", asked.RequestURI, asked.Header)
		}
		first := e.addr
		e.load("prefix /other\n" + site)
		put := e.do("alice", "PUT", "/other/connect/v1/connectors/crm/connections/"+id,
			`{"id":"`+id+`","name":"mine","variables":[{"name":"account","value":"`+told.member("account")+`"}]}`)
		put.is(t, http.StatusOK, "")
		e.do("alice", "GET", "/other/proxy/v1/"+id+"/users", "").is(t, http.StatusOK, "")
		if asked := a.one(t); asked.RequestURI != "/acme-42/users" || asked.Header.Get("Authorization") != "Bearer t0ken" {
			t.Errorf("asked %s with %v", asked.RequestURI, asked.Header)
		}
		if e.addr == first {
			t.Error("it is the same config")
		}
		e.load(site)
		e.call("alice", "GET", id, "/users", "").is(t, http.StatusOK, "")
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		e.load(site)
		e.call("alice", "GET", id, "/users", "").is(t, http.StatusOK, "")
		for _, asked := range a.seen() {
			if asked.RequestURI != "/acme-42/users" || asked.Header.Get("Authorization") != "Bearer t0ken" {
				t.Errorf("later, asked %s with %v", asked.RequestURI, asked.Header)
			}
		}
	})
}

// Where the config has other schemes, the user must connect again; and where it
// has another API, there is none.
func TestConfigChanges(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("crm", "auth bearer"))
	id := e.connected("alice", "crm", `{"name":"mine","credentials":[{"type":"bearer","token":"t0ken"}]}`)
	second := e.connected("alice", "crm", `{"name":"second","credentials":[{"type":"bearer","token":"t0ken"}]}`)
	test := func(stage any) {
		t.Helper()
		if result, _ := e.tested("alice", "crm", id); result["stage"] != stage {
			t.Errorf("%v, want %v", result, stage)
		}
	}
	for _, auth := range []string{"auth basic", "auth bearer\nauth api_key header X-Key"} {
		e.load(a.block("crm", auth))
		e.call("alice", "GET", id, "/x", "").is(t, http.StatusFailedDependency, "credentials_outdated")
		test("credentials")
	}
	// with the second scheme's credential it is whole again
	got := e.do("alice", "PUT", placeOf("crm", id)+"/credentials/1", `{"type":"api_key","value":"k"}`)
	if got.is(t, http.StatusOK, ""); got.member("status") != "active" {
		t.Errorf("status %s", got.text)
	}
	e.load(a.block("other", "auth bearer"))
	e.call("alice", "GET", id, "/x", "").is(t, http.StatusNotFound, "api_unknown")
	e.do("alice", "GET", placeOf("crm", id), "").is(t, http.StatusNotFound, "connector_unknown")
	e.do("bob", "DELETE", placeOf("crm", second), "").is(t, http.StatusNotFound, "connection_unknown")
	e.do("alice", "DELETE", placeOf("other", second), "").is(t, http.StatusNotFound, "connection_unknown")
	e.do("alice", "DELETE", placeOf("crm", second), "").is(t, http.StatusNoContent, "")
	e.do("alice", "DELETE", placeOf("crm", second), "").is(t, http.StatusNotFound, "connection_unknown")
	if len(a.seen()) > 0 {
		t.Error("the API was asked")
	}
	e.load(a.block("crm", "auth bearer"))
	e.call("alice", "DELETE", id, "/x", "").is(t, http.StatusFailedDependency, "credentials_outdated") // there is one too many
	e.do("alice", "DELETE", placeOf("crm", id), "").is(t, http.StatusNoContent, "")
}

// Keys are rotated while calls go on, and none of them fails.
func TestKeyRotation(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		database, _, _ := strings.Cut(e.options, "\n")
		older, newer := datastore.NewKey(), datastore.NewKey()
		site := a.block("crm", "auth bearer")
		keys := func(keys string) { e.options = database + "\nencryption_keys " + keys }
		keys(older)
		e.start(site)
		var ids []string
		for _, name := range []string{"a", "b", "c"} {
			ids = append(ids, e.connected("alice", "crm", `{"name":"`+name+`","credentials":[{"type":"bearer","token":"`+name+`"}]}`))
		}
		check := func(when string) {
			t.Helper()
			for i, id := range ids {
				e.call("alice", "GET", id, "/x", "").is(t, http.StatusOK, "")
				if got, want := a.seen()[0].Header.Get("Authorization"), "Bearer "+[]string{"a", "b", "c", "d"}[i]; got != want {
					t.Errorf("%s: %s, want %s", when, got, want)
				}
			}
		}
		keys(newer + " " + older)
		e.load(site)
		check("with both keys")
		ids = append(ids, e.connected("alice", "crm", `{"name":"d","credentials":[{"type":"bearer","token":"d"}]}`))

		// calls while the keys are rotated, from memory and past it
		stop, done := make(chan struct{}), make(chan struct{})
		var calls, failed atomic.Int64
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				got := e.call("alice", "GET", ids[i%len(ids)], "/x", "")
				if calls.Add(1); got.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		}()
		var rotated struct{ Reencrypted int }
		if err := json.Unmarshal([]byte(e.ask("POST", "/connector/keys/rotate")), &rotated); err != nil || rotated.Reencrypted != 3 {
			t.Errorf("rotated %+v, %v", rotated, err)
		}
		close(stop)
		<-done
		if failed.Load() > 0 || calls.Load() == 0 {
			t.Errorf("%d of %d calls failed", failed.Load(), calls.Load())
		}
		a.seen()
		check("rotated")
		if err := caddy.Stop(); err != nil { // nothing is in memory
			t.Fatal(err)
		}
		keys(newer)
		e.load(site)
		check("with the new key alone")
		if got := e.do("alice", "GET", connect+"crm/connections", ""); got.body["totalCount"] != 4.0 {
			t.Errorf("connections: %s", got.text)
		}
	})
}

// A credential that cannot be opened is told by the test, and is replaced.
func TestLostKey(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		database, _, _ := strings.Cut(e.options, "\n")
		older := datastore.NewKey()
		site := a.block("crm", "auth bearer")
		e.options = database + "\nencryption_keys " + older
		e.start(site)
		id := e.connected("alice", "crm", `{"name":"mine","credentials":[{"type":"bearer","token":"t0ken"}]}`)
		e.damage("UPDATE connector_connection_secrets SET sealed = " + e.bytes("00"))
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		e.load(site)
		e.call("alice", "GET", id, "/x", "").is(t, http.StatusInternalServerError, "internal")
		e.do("alice", "GET", placeOf("crm", id), "").is(t, http.StatusOK, "")
		result, errors := e.tested("alice", "crm", id)
		if result["stage"] != "credentials" || errors.([]any)[0] != "credentials" {
			t.Errorf("%v, errors %v", result, errors)
		}
		e.do("alice", "PUT", placeOf("crm", id)+"/credentials/0", `{"type":"bearer","token":"new"}`).is(t, http.StatusOK, "")
		e.call("alice", "GET", id, "/x", "").is(t, http.StatusOK, "")
	})
}
