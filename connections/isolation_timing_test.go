package connections

import (
	"net/http"
	"testing"
)

// S29: others' connections that are in memory are asked of the database, as those are
// that do not exist: how long an answer takes does not tell them apart, nor does a
// database that fails.
func TestOthersAreNotToldByTheMemory(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	e.call("alice", "GET", id, "/x", "").is(t, http.StatusOK, "")
	e.damage("ALTER TABLE connector_connections RENAME TO gone")
	e.call("alice", "GET", id, "/x", "").is(t, http.StatusOK, "") // from memory
	unknown, foreign := e.call("bob", "GET", ulidOfNobody, "/x", ""), e.call("bob", "GET", id, "/x", "")
	unknown.is(t, http.StatusInternalServerError, "internal")
	if foreign.StatusCode != unknown.StatusCode || foreign.text != unknown.text {
		t.Errorf("%d %s", foreign.StatusCode, foreign.text)
	}
}
