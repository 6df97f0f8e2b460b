package caller

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"
)

func TestValidID(t *testing.T) {
	for id, ok := range map[string]bool{
		"alice": true, "!~": true, "a@b": true, strings.Repeat("a", 255): true,
		"": false, " ": false, "a b": false, "a\r": false, "a\n": false, "a\x00": false, "é": false, "a\x7f": false,
		strings.Repeat("a", 256): false,
	} {
		if ValidID(id) != ok {
			t.Errorf("%.20q", id)
		}
	}
}

func TestSource(t *testing.T) {
	for _, c := range []struct{ user, vars, want, logged string }{
		{"", "http.auth.user.id=alice", "alice", "alice"},
		{DefaultUser, "http.auth.user.id=alice", "alice", "alice"},
		{"{http.reverse_proxy.header.Remote-User}", "http.reverse_proxy.header.Remote-User=bob", "bob", "bob"},
		{"acme/{http.auth.user.id}", "http.auth.user.id=alice", "acme/alice", "acme/alice"},
		{"{http.auth.user.id}{http.x}", "http.x=y", "y", "y"},
		{"{http.none}", "http.auth.user.id=alice", "", "alice"},
		{"", "", "", ""},
	} {
		source, err := NewSource(c.user, zap.NewNop())
		if err != nil {
			t.Fatalf("%q: %v", c.user, err)
		}
		repl := caddy.NewEmptyReplacer()
		if key, value, ok := strings.Cut(c.vars, "="); ok {
			repl.Set(key, value)
		}
		if got := source.ID(repl); got != c.want {
			t.Errorf("%q with %q: %q, want %q", c.user, c.vars, got, c.want)
		}
		if got, _ := repl.GetString("http.auth.user.id"); got != c.logged {
			t.Errorf("%q with %q: the log has %q, want %q", c.user, c.vars, got, c.logged)
		}
	}
}

func TestNewSource(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	if _, err := NewSource("alice", zap.New(core)); err == nil {
		t.Error("everybody is alice")
	}
	for user, warnings := range map[string]int{
		"": 0, "{http.reverse_proxy.header.X}": 0,
		"{http.request.header.X}": 1, "a{http.request.cookie.x}": 1, "{http.request.uri.query.user}": 1,
	} {
		_, err := NewSource(user, zap.New(core))
		if got := logs.TakeAll(); err != nil || len(got) != warnings {
			t.Errorf("%q: %v, %d warnings", user, err, len(got))
		}
	}
}
