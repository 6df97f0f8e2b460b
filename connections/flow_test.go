package connections

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

const public = "https://edge.example.com"

// authorization is a real authorization server, whose /me is the API.
type authorization struct {
	*oauthtest.Server
	url     string
	revoked atomic.Int32 // requests to revoke a token
}

func newAuthorization(t *testing.T, c oauthtest.Config) *authorization {
	t.Helper()
	c.RedirectURIs = append(c.RedirectURIs, public+connect+"crm/oauth2/callback")
	as := &authorization{Server: oauthtest.New(c)}
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/revoke" {
			as.revoked.Add(1)
		}
		as.ServeHTTP(w, r)
	}))
	t.Cleanup(listening.Close)
	as.url = listening.URL
	return as
}

// block is the config of an API that takes its tokens.
func (as *authorization) block(more string) string {
	return "public_url " + public + "\nreturn_to https://app.example.com/done\napi_key acme platform-key-0123456789\napi crm {\nbase_url " + as.url +
		"\nauth oauth2 {\nauthorize_url " + as.url + "/authorize\ntoken_url " + as.url + "/token\nrevoke_url " + as.url +
		"/revoke\nclient_id client\nclient_secret client-secret\nscopes read\n" + more + "\n}\ntest GET /me\n}\n"
}

// browser is what a person signs in with.
type browser struct {
	e       *edge
	user    string            // whose session it has, or ""
	cookies map[string]string // by name
}

// open goes to a URL of the edge's, and returns what it answers.
func (b *browser) open(location string) reply {
	b.e.t.Helper()
	path, ok := strings.CutPrefix(location, public)
	if !ok {
		b.e.t.Fatalf("%s is not at the edge", location)
	}
	var header []string
	for name, value := range b.cookies {
		header = append(header, "Cookie: "+name+"="+value)
	}
	got := b.e.do(b.user, "GET", path, "", header...)
	for _, cookie := range got.Cookies() {
		if !strings.HasPrefix(cookie.Name, cookiePrefix) || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" {
			b.e.t.Errorf("cookie %v", cookie)
		}
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
			continue
		}
		if b.cookies == nil {
			b.cookies = make(map[string]string)
		}
		b.cookies[cookie.Name] = cookie.Value
	}
	return got
}

// initialise begins, and returns the link.
func (e *edge) initialise(user, body string, header ...string) string {
	e.t.Helper()
	got := e.do(user, "POST", connect+"crm/oauth2/initialise", body, header...)
	got.is(e.t, http.StatusCreated, "")
	return got.body["url"].(string)
}

// signIn opens a link, signs in, and returns where the API sends the browser back.
func (b *browser) signIn(link, name, password string) string {
	b.e.t.Helper()
	got := b.open(link)
	got.is(b.e.t, http.StatusSeeOther, "")
	back, err := oauthtest.SignIn(b.e.t.Context(), got.Header.Get("Location"), name, password)
	if err != nil {
		b.e.t.Fatal(err)
	}
	return back.String()
}

// connect is the whole of it, and returns the connection's id.
func (b *browser) connect() string {
	b.e.t.Helper()
	back := b.signIn(b.e.initialise(b.user, `{"name":"mine","returnTo":"/done?a=b"}`), "alice", "wonderland")
	got := b.open(back)
	got.is(b.e.t, http.StatusSeeOther, "")
	id, ok := strings.CutPrefix(got.Header.Get("Location"), "/done?a=b&connection=")
	if !ok {
		b.e.t.Fatalf("sent to %s", got.Header.Get("Location"))
	}
	return id
}

func TestConnect(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		as := newAuthorization(t, oauthtest.Config{})
		e.start(as.block(""))
		b := &browser{e: e, user: "alice"}
		id := b.connect()
		if got := e.call("alice", "GET", id, "/me", ""); got.StatusCode != 200 || got.body["user"] != "alice" || got.body["scope"] != "read" {
			t.Errorf("%d %s", got.StatusCode, got.text)
		}
		if len(b.cookies) > 0 {
			t.Error("the browser keeps the cookie")
		}
		if got := e.do("alice", "POST", connect+"crm/connections/"+id+"/test", ""); got.body["ok"] != true {
			t.Errorf("test: %s", got.text)
		}
		as.RevokeAll()
		if got := e.do("alice", "POST", connect+"crm/connections/"+id+"/test", ""); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("a second test at once: %d %s", got.StatusCode, got.text)
		}
		time.Sleep(time.Second)
		if got := e.do("alice", "POST", connect+"crm/connections/"+id+"/test", ""); got.body["ok"] != false || got.body["stage"] != "refresh" {
			t.Errorf("test of a revoked one: %s", got.text)
		}
		e.call("alice", "GET", id, "/me", "").is(t, http.StatusFailedDependency, "connection_reauth_required")
		if got := e.do("alice", "GET", connect+"crm/connections/"+id, ""); got.body["status"] != "reauth_required" || got.body["reason"] != "invalid_grant" {
			t.Errorf("%s", got.text)
		}
		// connecting again
		back := b.signIn(e.initialise("alice", `{"connection":"`+id+`"}`), "alice", "wonderland")
		if got := b.open(back); got.StatusCode != 200 || !strings.Contains(got.text, "You are connected to crm") {
			t.Errorf("%d %s", got.StatusCode, got.text)
		}
		e.call("alice", "GET", id, "/me", "").is(t, 200, "")
		// deleting revokes
		e.do("alice", "DELETE", connect+"crm/connections/"+id, "").is(t, http.StatusNoContent, "")
		if n := as.revoked.Load(); n == 0 {
			t.Error("no token was revoked")
		}
	})
}

// What nobody but the one who began may go on with.
func TestFlowIsTheUsers(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	refusedPage := func(what string, got reply) {
		t.Helper()
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.text, "begin anew") || got.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %s", what, got.StatusCode, got.text)
		}
	}
	const mine = `{"name":"mine"}`
	for what, other := range map[string]*browser{"another user": {e: e, user: "bob"}, "nobody": {e: e}} {
		refusedPage(what+" opens the link", other.open(e.initialise("alice", mine)))

		alice := &browser{e: e, user: "alice"}
		back := alice.signIn(e.initialise("alice", mine), "alice", "wonderland")
		other.cookies = alice.cookies
		refusedPage(what+" comes back, with the cookie", other.open(back))
		refusedPage(what+" has used it up", alice.open(back))
	}
	alice := &browser{e: e, user: "alice"}
	link := e.initialise("alice", mine)
	back := alice.signIn(link, "alice", "wonderland")
	refusedPage("the link again", alice.open(link))
	elsewhere := &browser{e: e, user: "alice"}
	refusedPage("another browser of the same user", elsewhere.open(back))
	for what, query := range map[string]string{
		"no query": "", "no state": "?code=a", "no code": "?state=a", "another state": "?code=a&state=b", "two states": "?code=a&state=b&state=c",
	} {
		refusedPage(what, alice.open(public+connect+"crm/oauth2/callback"+query))
	}
	refusedPage("no flow", alice.open(public+"/api/connect/v1/oauth2/authorize"))
	denied := &browser{e: e, user: "alice"}
	if got := denied.open(denied.signIn(e.initialise("alice", mine), "alice", "")); got.StatusCode != http.StatusForbidden {
		t.Errorf("denied: %d %s", got.StatusCode, got.text)
	}
	if calls := as.Calls(); calls["authorization_code"] != 0 {
		t.Errorf("codes were exchanged: %v", calls)
	}
	if got := e.do("alice", "GET", connect+"crm/connections", ""); got.body["totalCount"] != float64(0) {
		t.Errorf("there is a connection: %s", got.text)
	}
}

// A server's caller has to give back what the browser brings.
func TestConfirm(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	const key = "Authorization: Bearer platform-key-0123456789"
	e.do("", "POST", connect+"crm/oauth2/initialise", `{"name":"theirs"}`, key).is(t, http.StatusUnprocessableEntity, "return_to_invalid")
	for _, returnTo := range []string{"https://evil.example.com", "//evil.example.com", `/\\evil.example.com`, "https://app.example.com/done/", "done", ""} {
		e.do("", "POST", connect+"crm/oauth2/initialise", `{"name":"theirs","returnTo":"`+returnTo+`"}`, key).is(t, http.StatusUnprocessableEntity, "return_to_invalid")
	}
	b := &browser{e: e}
	got := b.open(b.signIn(e.initialise("", `{"name":"theirs","returnTo":"https://app.example.com/done"}`, key), "alice", "wonderland"))
	got.is(t, http.StatusSeeOther, "")
	back, _ := url.Parse(got.Header.Get("Location"))
	id, confirmation := back.Query().Get("connection"), back.Query().Get("confirmation")
	if !strings.HasPrefix(back.String(), "https://app.example.com/done?connection=") || confirmation == "" {
		t.Fatalf("sent to %s", back)
	}
	call := func() reply { return e.call("", "GET", id, "/me", "", key) }
	call().is(t, http.StatusFailedDependency, "connection_unconfirmed")
	confirm := func(user, body string, header ...string) reply {
		return e.do(user, "POST", connect+"crm/connections/"+id+"/confirm", body, header...)
	}
	confirm("alice", `{"confirmation":"`+confirmation+`"}`).is(t, http.StatusNotFound, "connection_unknown")
	confirm("", `{"confirmation":"x"}`, key).is(t, http.StatusBadRequest, "flow_invalid")
	call().is(t, http.StatusFailedDependency, "connection_unconfirmed")
	confirm("", `{"confirmation":"`+confirmation+`"}`, key).is(t, 200, "")
	call().is(t, 200, "")
	confirm("", `{"confirmation":"`+confirmation+`"}`, key).is(t, http.StatusBadRequest, "flow_invalid")
}
