package connections

import (
	"net/http"
	"testing"
)

const byKey = `{"name":"mine","credentials":[{"type":"api_key","value":"s3cret-key"}]}`

func (a *api) block(name, more string) string {
	return "api " + name + " {\nbase_url " + a.URL + "/v2\n" + more + "\n}\n"
}

// A call goes out with the credential, and the answer comes back.
func TestCall(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(a.block("zendesk", "auth api_key header X-Api-Key"))
		id := e.connected("alice", "zendesk", byKey)
		e.call("alice", "GET", id, "/users/me.json?a=%2F&a=", "", "X-Api-Key: mine", "Cookie: a=b", "X-Versori-Force-Refresh-Credential: false").is(t, 200, "")
		got := a.one(t)
		if got.RequestURI != "/v2/users/me.json?a=%2F&a=" || got.Header.Get("X-Api-Key") != "s3cret-key" || len(got.Header["X-Api-Key"]) != 1 ||
			got.Header.Get("Cookie") != "" || got.Header.Get("X-Versori-Force-Refresh-Credential") != "" {
			t.Errorf("the API was asked %s with %v", got.RequestURI, got.Header)
		}
		e.call("bob", "GET", id, "/users", "").is(t, http.StatusNotFound, "connection_unknown")
		e.call("alice", "GET", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "/users", "").is(t, http.StatusNotFound, "connection_unknown")
		e.call("", "GET", id, "/users", "").is(t, http.StatusUnauthorized, "caller_missing")
		if len(a.seen()) != 0 {
			t.Error("a refused call reached the API")
		}
		e.do("alice", "POST", connect+"zendesk/connections/"+id+"/test", "").is(t, 200, "")
		if got := e.do("alice", "GET", connect+"zendesk/connections/"+id, ""); got.body["errors"] == nil {
			t.Errorf("%s", got.text)
		}
		e.do("alice", "DELETE", connect+"zendesk/connections/"+id, "").is(t, http.StatusNoContent, "")
		e.call("alice", "GET", id, "/users", "").is(t, http.StatusNotFound, "connection_unknown")
	})
}
