package connections

import (
	"net/http"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// S34: the browser is sent to the site itself, or to what the config has, and nowhere
// that decoding, or a browser's reading of a URL, makes of either.
func TestReturnTo(t *testing.T) {
	h := &Handler{ReturnTo: []string{"https://app.example.com/done"}}
	for location, want := range map[string]bool{
		"/": true, "/done": true, "/done?a=b&c=%20d#e": true, "/a//b": true, "/a?u=https://evil.example/": true, "/@evil.example": true,
		"/.well-known/x": true, "/a%2Fb": true, "/a:b": true, "https://app.example.com/done": true,

		"": false, "done": false, "?a": false, "#a": false, "//evil.example": false, "///evil.example": false, `/\evil.example`: false, `\\evil.example`: false,
		"/%5Cevil.example": false, "/%255Cevil.example": false, "/%2Fevil.example": false, "/%2f%2fevil.example": false, "/%09/evil.example": false,
		"/\t/evil.example": false, "/\n/evil.example": false, "/ /evil.example": false, "/%20/evil.example": false, "/%00": false, "/a%0d%0aX-A: b": false,
		"/..//evil.example": false, "/./%2e%2e//evil.example": false, "/%2e%2e%2f%2fevil.example": false, "/é": false, "/%zz": false,
		"https://evil.example": false, "HTTPS://app.example.com/done": false, "https://app.example.com/done?": false, "https://app.example.com/done/": false,
		"https://app.example.com@evil.example/done": false, "https:/evil.example": false, "https:evil.example": false, "javascript:alert(1)": false,
		"data:text/html,x": false, "//app.example.com/done": false, "/" + strings.Repeat("a", 2048): false,
	} {
		if got := h.mayReturnTo(location); got != want {
			t.Errorf("%q: %v", location, got)
		}
	}
}

// An owner whose connection cannot be opened any more is told so; others are not told
// that there is one.
func TestUnreadableIsUnknownToOthers(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	id := e.connected("alice", "crm", `{"name":"mine","credentials":[`+as.granted(t)+`]}`)
	e.damage("UPDATE connector_connection_secrets SET sealed = " + e.bytes("00"))
	unknown := e.call("bob", "GET", ulidOfNobody, "/me", "")
	unknown.is(t, http.StatusNotFound, "connection_unknown")
	if got := e.call("bob", "GET", id, "/me", ""); got.StatusCode != http.StatusNotFound || got.text != unknown.text {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
	e.call("alice", "GET", id, "/me", "").is(t, http.StatusInternalServerError, "internal")
}

// What confirms a sign-in goes to an app that the config knows, and not to a path that
// may lead to an integration.
func TestConfirmationGoesToTheApp(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	for _, path := range []string{"/", "/connector/theirs/take", "/api/proxy/v1/" + ulidOfNobody + "/x"} {
		body := `{"name":"mine","returnTo":"` + path + `"}`
		e.do("", "POST", connect+"crm/oauth2/initialise", body, platformKey).is(t, http.StatusUnprocessableEntity, "return_to_invalid")
		e.initialise("alice", body) // whose session is in the browser, and needs none
	}
}
