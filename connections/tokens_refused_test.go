package connections

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// What a test finds is kept, also if it had the token refreshed, which changes the
// connection.
func TestErrorsAreKeptAfterRefresh(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	id := e.connected("alice", "crm", `{"name":"mine","credentials":[`+as.granted(t)+`]}`)
	result, errors := e.tested("alice", "crm", id)
	if list, ok := errors.([]any); result["ok"] != true || !ok || len(list) > 0 {
		t.Errorf("%v, errors %v", result, errors)
	}
	id = e.connected("alice", "crm", `{"name":"other","credentials":[`+as.granted(t)+`]}`)
	as.RevokeAll()
	result, errors = e.tested("alice", "crm", id)
	if list, ok := errors.([]any); result["stage"] != "refresh" || !ok || len(list) != 1 || list[0] != "refresh" {
		t.Errorf("%v, errors %v", result, errors)
	}
}

// A call that cannot be sent again, and whose token the API does not know any more, has
// the next call have another one.
func TestRefusedTokenIsReplacedForTheNext(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	var old atomic.Value // the token that is not known any more
	old.Store("")
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("Authorization") == old.Load() {
			http.Error(w, "unknown token", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	t.Cleanup(api.Close)
	e := start(t, strings.Replace(as.block(""), "base_url "+as.url, "base_url "+api.URL, 1))
	b := &browser{e: e, user: "alice"}
	id := b.connect()
	post := func() reply { return e.call("alice", "POST", id, "/x", `{"a":1}`) }
	first := post()
	first.is(t, http.StatusOK, "")
	old.Store(first.text)
	post().is(t, http.StatusUnauthorized, "") // it has a body, so something may have been done
	soon(t, "another token", func() bool { return post().StatusCode == http.StatusOK })
	if calls := as.Calls()["refresh_token"]; calls != 1 {
		t.Errorf("%d refreshes", calls)
	}
}

// A POST is sent again with another token only where nothing says that the API has done
// something: S42.
func TestRefusedPost(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	for name, answer := range map[string]string{"nothing": "", "a text": "unknown token"} {
		var asked []string // one after the other
		api := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			if asked = append(asked, r.Header.Get("Authorization")); len(asked) == 1 {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, answer)
			}
		})
		e := start(t, strings.Replace(as.block(""), "base_url "+as.url, "base_url "+api.URL, 1))
		id := (&browser{e: e, user: "alice"}).connect()
		got := e.call("alice", "POST", id, "/x", `{"a":1}`)
		if again := answer == ""; again != (got.StatusCode == http.StatusOK) || again != (len(asked) == 2) {
			t.Errorf("%s: %d, asked %d times", name, got.StatusCode, len(asked))
		}
		for _, r := range api.seen() {
			if r.body != `{"a":1}` {
				t.Errorf("%s: %q", name, r.body)
			}
		}
		if len(asked) == 2 && asked[0] == asked[1] {
			t.Errorf("%s: the same token again", name)
		}
	}
}

// V14: where there is no other token to be had, the API's answer is the answer.
func TestRefusedWithoutRefreshToken(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	api := newAPI(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not this one", http.StatusUnauthorized) })
	e := start(t, strings.Replace(as.block(""), "base_url "+as.url, "base_url "+api.URL, 1))
	id := e.connected("alice", "crm", `{"name":"mine","credentials":[{"type":"oauth2","access_token":"t0ken"}]}`)
	for _, method := range []string{"GET", "POST"} {
		got := e.call("alice", method, id, "/x", "")
		if got.StatusCode != http.StatusUnauthorized || got.text != "not this one\n" || got.Header["Proxy-Status"] != nil || len(api.seen()) != 1 {
			t.Errorf("%s: %d %s", method, got.StatusCode, got.text)
		}
	}
	if result, _ := e.tested("alice", "crm", id); result["stage"] != "auth" {
		t.Errorf("%v", result)
	}
	if got := e.do("alice", "GET", placeOf("crm", id), ""); got.body["status"] != "active" {
		t.Errorf("%s", got.text)
	}
}
