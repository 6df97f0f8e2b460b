package connections

import (
	"net/http"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// S32: an answer counts where it was asked for, of the server that was asked, and its
// code goes to no other.
func TestMixUp(t *testing.T) {
	honest, other := newAuthorization(t, oauthtest.Config{Issuer: "https://as.example.com"}), newAuthorization(t, oauthtest.Config{})
	site := honest.block("issuer https://as.example.com")
	second := strings.Replace(other.block("issuer https://other.example.com"), "api crm", "api other", 1)
	e := start(t, site+second[strings.Index(second, "api other"):])
	refused := func(what string, got reply) {
		t.Helper()
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.text, "begin anew") {
			t.Errorf("%s: %d %s", what, got.StatusCode, got.text)
		}
	}
	back := func(b *browser) string {
		t.Helper()
		return b.signIn(e.initialise("alice", `{"name":"mine"}`), "alice", "wonderland")
	}
	b := &browser{e: e, user: "alice"}
	refused("at another API's redirect URI", b.open(strings.Replace(back(b), "/crm/", "/other/", 1)))
	refused("of another issuer", b.open(strings.Replace(back(b), "as.example.com", "other.example.com", 1)))
	refused("of two issuers", b.open(back(b)+"&iss=https%3A%2F%2Fas.example.com"))
	refused("of nobody", b.open(strings.Replace(back(b), "iss=", "xss=", 1)))
	refused("with a code of another browser's", func() reply {
		victim, attacker := &browser{e: e, user: "alice"}, &browser{e: e, user: "alice"}
		theirs, mine := back(victim), back(attacker)
		code := func(location string) string {
			_, code, _ := strings.Cut(location, "code=")
			code, _, _ = strings.Cut(code, "&")
			return code
		}
		got := victim.open(strings.Replace(theirs, code(theirs), code(mine), 1)) // PKCE knows it: the server refuses
		if got.StatusCode == http.StatusForbidden && strings.Contains(got.text, "did not allow it") {
			return victim.open(theirs) // which is used up
		}
		return got
	}())
	if calls := other.Calls(); len(calls) > 0 {
		t.Errorf("another server was asked: %v", calls)
	}
	if got := e.do("alice", "GET", connect+"crm/connections", ""); got.body["totalCount"] != 0.0 {
		t.Errorf("there is a connection: %s", got.text)
	}
	// and it was not refused for anything else
	if got := b.open(back(b)); got.StatusCode != http.StatusOK {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
}
