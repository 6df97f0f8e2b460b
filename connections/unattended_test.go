package connections

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// unattended is the API of an authorization server that knows no users.
func (as *authorization) unattended() string {
	return strings.Replace(as.block("grant client_credentials"), "authorize_url "+as.url+"/authorize\n", "", 1)
}

// With the grant client_credentials there is nothing of a user's to be given.
func TestNothingToGive(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.unattended())
	for name, credentials := range map[string]string{"left out": "", "null": `,"credentials":[null]`, "empty": `,"credentials":[{"type":"oauth2"}]`} {
		id := e.connected("alice", "crm", `{"name":"`+name+`"`+credentials+`}`)
		if got := e.do("alice", "GET", placeOf("crm", id), ""); got.body["status"] != "active" {
			t.Errorf("%s: %s", name, got.text)
		}
		if got := e.call("alice", "GET", id, "/me", ""); got.StatusCode != http.StatusOK || got.body["client"] != "client" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.text)
		}
	}
	// where others are needed, nothing is not enough
	e.load(as.block(""))
	id := e.connected("bob", "crm", `{"name":"mine"}`)
	e.call("bob", "GET", id, "/me", "").is(t, http.StatusFailedDependency, "connection_pending")
}

// S38: who has to do without a token is told when the edge asks for one again.
func TestNoTokenUntil(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.unattended())
	as.Fail(1, http.StatusServiceUnavailable, "40")
	id := e.connected("alice", "crm", `{"name":"mine"}`)
	for range 2 {
		got := e.call("alice", "GET", id, "/me", "")
		got.is(t, http.StatusServiceUnavailable, "token_unavailable")
		if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || seconds < 10 || seconds > 40 {
			t.Errorf("Retry-After %s", got.Header.Get("Retry-After"))
		}
	}
	if calls := as.Calls()["client_credentials"]; calls != 1 {
		t.Errorf("the server was asked %d times", calls)
	}
}
