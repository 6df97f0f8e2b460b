package connections

import (
	"net/http"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// Two sign-ins in one browser, at the same time, are two connections.
func TestTwoTabs(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	b := &browser{e: e, user: "alice"}
	first := b.signIn(e.initialise("alice", `{"name":"first"}`), "alice", "wonderland")
	second := b.signIn(e.initialise("alice", `{"name":"second"}`), "alice", "wonderland")
	for _, back := range []string{first, second} {
		if got := b.open(back); got.StatusCode != http.StatusOK {
			t.Errorf("%d %s", got.StatusCode, got.text)
		}
	}
	if got := e.do("alice", "GET", connect+"crm/connections", ""); got.body["totalCount"] != 2.0 || len(b.cookies) > 0 {
		t.Errorf("%s, cookies %v", got.text, b.cookies)
	}
}
