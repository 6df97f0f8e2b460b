package connections

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

const platformKey = "Authorization: Bearer platform-key-0123456789"

// twice is the API of an authorization server that takes a key, too, in the scheme 1.
func (as *authorization) twice() string {
	return strings.Replace(as.block(""), "test GET /me", "auth api_key header X-Key\ntest GET /me", 1)
}

// unconfirmed has somebody sign in for a connection of acme's that an API key names in
// the body, and returns what the browser brings the app.
func (e *edge) unconfirmed(body string) (id, confirmation string) {
	e.t.Helper()
	b := &browser{e: e}
	body = strings.TrimSuffix(body, "}") + `,"returnTo":"https://app.example.com/done"}`
	got := b.open(b.signIn(e.initialise("", body, platformKey), "alice", "wonderland"))
	got.is(e.t, http.StatusSeeOther, "")
	back, err := url.Parse(got.Header.Get("Location"))
	if err != nil {
		e.t.Fatal(err)
	}
	return back.Query().Get("connection"), back.Query().Get("confirmation")
}

func (e *edge) confirm(id, confirmation string) reply {
	e.t.Helper()
	return e.do("", "POST", connect+"crm/connections/"+id+"/confirm", `{"confirmation":"`+confirmation+`"}`, platformKey)
}

// An attacker who has signed in for their own connection, and then has somebody else
// sign in for it, cannot confirm the second with what the first has brought.
func TestConfirmationIsOfOneSignIn(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		as := newAuthorization(t, oauthtest.Config{})
		e.start(as.block(""))
		id, first := e.unconfirmed(`{"name":"theirs"}`)
		again, second := e.unconfirmed(`{"connection":"` + id + `"}`)
		if again != id {
			t.Fatalf("connection %s became %s", id, again)
		}
		e.confirm(id, first).is(t, http.StatusBadRequest, "flow_invalid")
		e.call("", "GET", id, "/me", "", platformKey).is(t, http.StatusFailedDependency, "connection_unconfirmed")
		e.confirm(id, second).is(t, http.StatusOK, "")
		e.call("", "GET", id, "/me", "", platformKey).is(t, http.StatusOK, "")
	})
}

// Nothing but the confirmation makes a connection active that somebody has signed in
// for, also where it has other credentials.
func TestOtherCredentialsDoNotConfirm(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.twice())
	for name, key := range map[string]string{"with": `{"type":"api_key","value":"k1"}`, "without": "null"} {
		got := e.do("", "POST", connect+"crm/connections", `{"name":"`+name+`","credentials":[null,`+key+`]}`, platformKey)
		got.is(t, http.StatusCreated, "")
		id, confirmation := e.unconfirmed(`{"connection":"` + got.id() + `"}`)
		changed := e.do("", "PUT", connect+"crm/connections/"+id+"/credentials/1", `{"type":"api_key","value":"k2"}`, platformKey)
		if changed.is(t, http.StatusOK, ""); changed.body["status"] != "unconfirmed" {
			t.Errorf("%s: %s", name, changed.text)
		}
		e.call("", "GET", id, "/me", "", platformKey).is(t, http.StatusFailedDependency, "connection_unconfirmed")
		e.confirm(id, confirmation).is(t, http.StatusOK, "")
		e.call("", "GET", id, "/me", "", platformKey).is(t, http.StatusOK, "")
		// what the owner brings needs no confirmation
		id, _ = e.unconfirmed(`{"connection":"` + id + `"}`)
		changed = e.do("", "PUT", connect+"crm/connections/"+id+"/credentials/0", as.granted(t), platformKey)
		if changed.is(t, http.StatusOK, ""); changed.body["status"] != "active" {
			t.Errorf("%s: %s", name, changed.text)
		}
	}
}

// Who signs in gives one of several credentials: the others may still be missing.
func TestSignInLeavesPending(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.twice())
	id := e.connected("alice", "crm", `{"name":"mine"}`)
	b := &browser{e: e, user: "alice"}
	b.open(b.signIn(e.initialise("alice", `{"connection":"`+id+`"}`), "alice", "wonderland")).is(t, http.StatusOK, "")
	e.call("alice", "GET", id, "/me", "").is(t, http.StatusFailedDependency, "connection_pending")

	got := e.do("", "POST", connect+"crm/connections", `{"name":"theirs"}`, platformKey)
	theirs, confirmation := e.unconfirmed(`{"connection":"` + got.id() + `"}`)
	e.confirm(theirs, confirmation).is(t, http.StatusOK, "")
	e.call("", "GET", theirs, "/me", "", platformKey).is(t, http.StatusFailedDependency, "connection_pending")

	changed := e.do("alice", "PUT", connect+"crm/connections/"+id+"/credentials/1", `{"type":"api_key","value":"k"}`)
	if changed.is(t, http.StatusOK, ""); changed.body["status"] != "active" {
		t.Errorf("%s", changed.text)
	}
	e.call("alice", "GET", id, "/me", "").is(t, http.StatusOK, "")
}

// A new key does not bring back a grant that is no more.
func TestOtherCredentialsDoNotRecover(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.twice())
	id := e.connected("alice", "crm", `{"name":"mine","credentials":[`+as.granted(t)+`,{"type":"api_key","value":"k"}]}`)
	as.RevokeAll()
	e.call("alice", "GET", id, "/me", "").is(t, http.StatusFailedDependency, "connection_reauth_required")
	calls := as.Calls()["refresh_token"]
	changed := e.do("alice", "PUT", connect+"crm/connections/"+id+"/credentials/1", `{"type":"api_key","value":"k2"}`)
	if changed.is(t, http.StatusOK, ""); changed.body["status"] != "reauth_required" || changed.body["reason"] != "invalid_grant" {
		t.Errorf("%s", changed.text)
	}
	e.call("alice", "GET", id, "/me", "").is(t, http.StatusFailedDependency, "connection_reauth_required")
	if now := as.Calls()["refresh_token"]; now != calls {
		t.Error("a refresh token that is no more was sent again")
	}
	e.do("alice", "PUT", connect+"crm/connections/"+id+"/credentials/0", as.granted(t)).is(t, http.StatusOK, "")
	e.call("alice", "GET", id, "/me", "").is(t, http.StatusOK, "")
}
