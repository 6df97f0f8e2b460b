package connections

import (
	"net/http"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// Whoever has not signed in comes back to the app, too, which is told why.
func TestFlowTellsTheApp(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	const key = "Authorization: Bearer platform-key-0123456789"
	returns := func(what string, got reply, location string) {
		t.Helper()
		if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != location || got.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %d to %q", what, got.StatusCode, got.Header.Get("Location"))
		}
	}
	b := &browser{e: e, user: "alice"}
	denied := b.signIn(e.initialise("alice", `{"name":"mine","returnTo":"/done?a=b#c"}`), "alice", "")
	returns("denied", b.open(denied), "/done?a=b&error=authorization_denied#c")
	if len(b.cookies) > 0 {
		t.Error("the browser keeps the cookie")
	}

	again := b.signIn(e.initialise("alice", `{"name":"mine","returnTo":"/done"}`), "alice", "wonderland")
	e.connected("alice", "crm", `{"name":"mine"}`) // meanwhile
	returns("a name that is taken", b.open(again), "/done?error=name_taken")

	server := &browser{e: e}
	denied = server.signIn(e.initialise("", `{"name":"theirs","returnTo":"https://app.example.com/done"}`, key), "alice", "")
	returns("denied, of a server", server.open(denied), "https://app.example.com/done?error=authorization_denied")

	for body, want := range map[string]string{`{"name":"later","returnTo":"/done"}`: "/done?error=token_unavailable", `{"name":"later"}`: ""} {
		back := b.signIn(e.initialise("alice", body), "alice", "wonderland")
		as.Fail(1, http.StatusServiceUnavailable, "")
		got := b.open(back)
		if want != "" {
			returns("no answer", got, want)
		} else if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.text, "gave no answer") {
			t.Errorf("no answer, and no app: %d %s", got.StatusCode, got.text)
		}
	}

	// nobody else's browser is sent there
	stolen := b.signIn(e.initialise("alice", `{"name":"other","returnTo":"/done"}`), "alice", "")
	b.cookies = nil
	if got := b.open(stolen); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.text, "begin anew") {
		t.Errorf("another browser: %d to %q", got.StatusCode, got.Header.Get("Location"))
	}
}
