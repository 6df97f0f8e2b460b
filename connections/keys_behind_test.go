package connections

import (
	"net/http"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
	"github.com/f737063d/caddy-connector/datastore"
)

// logsOf waits until a node has logged a text.
func (n *node) logsOf(text string) {
	n.t.Helper()
	soon(n.t, "in the log: "+text, func() bool { return strings.Contains(n.logs(), text) })
}

// A node that was not given the key that another one seals with is not ready for
// what that one has written, says so in its log, and does no harm. With the key,
// all is there.
func TestNodeWithoutTheNewKey(t *testing.T) {
	t.Parallel()
	e := onServer(t)
	as := newAuthorization(t, oauthtest.Config{})
	older, newer := datastore.NewKey(), datastore.NewKey()
	config := as.block("")
	behind := newNode(t, e.withKeys(older), config)
	untouched := behind.connected("alice", "crm", `{"name":"untouched","credentials":[`+as.granted(t)+`]}`)
	refreshed := behind.connected("alice", "crm", `{"name":"refreshed","credentials":[`+as.granted(t)+`]}`)
	expired := behind.connected("alice", "crm", `{"name":"expired"}`)
	behind.call("alice", "GET", untouched, "/me", "").is(t, http.StatusOK, "")

	ahead := newNode(t, e.withKeys(newer+" "+older), config)
	ahead.call("alice", "GET", untouched, "/me", "").is(t, http.StatusOK, "")
	ahead.call("alice", "GET", refreshed, "/me", "").is(t, http.StatusOK, "")
	ahead.do("alice", "PUT", placeOf("crm", expired)+"/credentials/0", as.granted(t)).is(t, http.StatusOK, "")
	asked := as.Calls()["refresh_token"]

	notReady := func(n *node, id string) {
		t.Helper()
		for _, got := range []reply{
			n.call("alice", "GET", id, "/me", ""),
			n.call("alice", "GET", id, "/me", "", forced),
			n.do("alice", "POST", placeOf("crm", id)+"/test", ""),
			n.do("alice", "DELETE", placeOf("crm", id), ""),
		} {
			got.is(t, http.StatusServiceUnavailable, "not_ready")
			if got.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %v", got.text, got.Header)
			}
		}
	}
	soon(t, "news of what was written", func() bool {
		return behind.call("alice", "GET", expired, "/me", "").StatusCode == http.StatusServiceUnavailable
	})
	notReady(behind, refreshed)
	notReady(behind, expired)
	behind.logsOf("sealed with a key that is not in encryption_keys: key ")
	behind.call("alice", "GET", untouched, "/me", "").is(t, http.StatusOK, "")
	for _, id := range []string{refreshed, expired} {
		if got := behind.do("alice", "GET", placeOf("crm", id), ""); got.body["status"] != "active" || got.body["errors"] != nil {
			t.Errorf("%s", got.text)
		}
	}

	// when it starts again, it finds out at once
	behind.stop()
	behind = beginNode(t, e.withKeys(older), config)
	behind.await(http.StatusServiceUnavailable)
	behind.logsOf("encryption_keys lack the key ")
	notReady(behind, untouched)
	notReady(behind, refreshed)

	if n := as.Calls()["refresh_token"]; n != asked || as.Reuses() != 0 {
		t.Errorf("tokens were refreshed: %d, %d reuses", n-asked, as.Reuses())
	}
	behind.reload(e.withKeys(older+" "+newer), config)
	for _, id := range []string{untouched, refreshed, expired} {
		behind.call("alice", "GET", id, "/me", "").is(t, http.StatusOK, "")
	}
}
