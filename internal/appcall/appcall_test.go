package appcall

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/egress"
)

func TestExpand(t *testing.T) {
	for _, test := range []struct{ template, id, want string }{
		{"http://a/{id}/x?i={id}", "alice", "http://a/alice/x?i=alice"},
		{"http://a/{id}", "a/b?c#d%e", "http://a/a%2Fb%3Fc%23d%25e"},
		{"http://a/{id}", "{other}", "http://a/%7Bother%7D"},
		{"http://a/{other}{id}", "{id}", "http://a/2%7Bid%7D"},
		{"http://a/{id}", "..", ""},
		{"http://a/.{id}/", ".", ""},
		{"http://a/{id}", "%2e%2e", ""},
		{"http://a/{id}", `a\b`, ""},
		{"http://a/?{id}", "..", "http://a/?.."},
	} {
		got, err := Expand(test.template, "{id}", test.id, "{other}", "2")
		if test.want == "" && err == nil || test.want != "" && (err != nil || got.String() != test.want) {
			t.Errorf("%s with %q: %v, %v", test.template, test.id, got, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for template, want := range map[string]string{
		"http://a": "", "https://a:8443/x/{id}?y={other}": "", "http://[::1]/{id}{other}": "",
		"":                  "must begin with http",
		"a/b":               "must begin with http",
		"ftp://a/":          "must begin with http",
		"http:///x":         "must begin with http",
		"http://a b/":       "cannot be parsed",
		"http://a/../b":     "dot segments",
		"http://{id}/":      "must not depend on {id} or {other}",
		"http://a:1{other}": "must not depend on {id} or {other}",
		"http://u@a/":       "user or password",
		"http://a/#{id}":    "fragment",
		"http://a/#":        "fragment",
	} {
		if err := CheckURL(template, "{id}", "{other}"); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", template, err, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Setenv("TOKEN", "t0ken")
	h, err := NewHeaders(caddy.NewReplacer(), "x-user", map[string]string{"authorization": "Bearer {env.TOKEN}", "Accept": "text/csv"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Accept": {"text/csv"}, "User-Agent": {egress.UserAgent}, "Authorization": {"Bearer t0ken"}, "X-User": {"alice"}}
	got := h.For("alice")
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	if len(got) != len(want) || !h.Has("Authorization") || !h.Has("X-User") || h.Has("Cookie") {
		t.Errorf("headers: %d", len(got))
	}
	got.Set("X-User", "mallory")
	if h.For("bob").Get("X-User") != "bob" {
		t.Error("headers are shared between requests")
	}
	for name, want := range map[string]string{"X-User": "has the user's id", "Host": "meaning of its own", "a b": "not a header name"} {
		if _, err := NewHeaders(caddy.NewReplacer(), "X-User", map[string]string{name: "x"}, zap.NewNop()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
