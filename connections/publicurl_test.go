package connections

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// A URL is written with a slash behind the host, or without.
func TestPublicURLWithASlash(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, strings.Replace(as.block(""), "public_url "+public, "public_url "+public+"/", 1))
	id := (&browser{e: e, user: "alice"}).connect()
	e.call("alice", "GET", id, "/me", "").is(t, http.StatusOK, "")
}

// Where users are sent is checked however the config is written.
func TestWrittenURLs(t *testing.T) {
	for written, want := range map[string][2]bool{ // as public_url, and as return_to
		"https://a.example": {true, true}, "https://a.example/": {true, true}, "https://a.example:8443": {true, true}, "http://localhost:8080": {true, true},
		"http://127.0.0.1": {true, true}, "https://a.example/done?a=b#c": {false, true}, "https://a.example/path": {false, true},
		"http://a.example": {false, false}, "a.example": {false, false}, "//a.example": {false, false}, "/done": {false, false}, "javascript:alert(1)": {false, false},
		"https://": {false, false}, "https://u@a.example": {false, false}, "ftp://a.example": {false, false}, "https://a b": {false, false}, "{env.NO_SUCH_URL}": {false, false},
	} {
		for i, name := range []string{"public_url", "return_to"} {
			const api = "api a {\nbase_url https://api.example\nauth none\n}\n}\n}\n"
			_, err := adapt(fmt.Sprintf("http://127.0.0.1:1 {\nconnections {\n%s %q\n%s", name, written, api))
			if (err == nil) != want[i] || err != nil && !strings.Contains(err.Error(), "Caddyfile:3") {
				t.Errorf("%s %s: %v", name, written, err)
			}
			value := fmt.Sprintf("%q", written)
			if name == "return_to" {
				value = "[" + value + "]"
			}
			err = validated(t, fmt.Sprintf(`{"handler":"connections",%q:%s,"apis":{"a":{"base_url":"https://api.example","auth":[{"type":"none"}]}}}`, name, value))
			if (err == nil) != want[i] || err != nil && !strings.Contains(err.Error(), name+": ") {
				t.Errorf("%s %s in JSON: %v", name, written, err)
			}
		}
	}
}
