package connections

import (
	"net/http"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// Nobody signs in for a connection that cannot be made; and if that turns out in the
// end, the API forgets the token.
func TestNoRoomForASignIn(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		as := newAuthorization(t, oauthtest.Config{})
		e.start(as.block("") + "max_per_owner 2\n")
		begin := func(name string) reply {
			return e.do("alice", "POST", connect+"crm/oauth2/initialise", `{"name":"`+name+`"}`)
		}
		e.connected("alice", "crm", `{"name":"taken"}`)
		begin("taken").is(t, http.StatusConflict, "name_taken")
		begin("mine").is(t, http.StatusCreated, "")

		b := &browser{e: e, user: "alice"}
		back := b.signIn(begin("mine").body["url"].(string), "alice", "wonderland")
		e.connected("alice", "crm", `{"name":"mine"}`) // meanwhile
		if got := b.open(back); got.StatusCode != http.StatusConflict || !strings.Contains(got.text, "has this name") {
			t.Errorf("%d %s", got.StatusCode, got.text)
		}
		if n := as.revoked.Load(); n != 1 {
			t.Errorf("%d tokens were revoked", n)
		}
		begin("third").is(t, http.StatusConflict, "limit_reached")
	})
}
