package proxyauth

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/caller"
)

func provisioned(t testing.TB, p *Provider, secrets ...string) *Provider {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	for i, plain := range secrets {
		name := "PROXYAUTH_TEST_" + strconv.Itoa(i)
		t.Setenv(name, plain)
		p.Secrets = append(p.Secrets, "{env."+name+"}")
	}
	if err := p.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	p.logger = zap.NewNop()
	return p
}

// S9: the index tells which secret it was, and nothing else matches.
func TestMatch(t *testing.T) {
	p := provisioned(t, new(Provider), "first", "second", "third")
	for presented, want := range map[string]int{
		"first": 0, "second": 1, "third": 2, "": -1, "firs": -1, "firstt": -1, "FIRST": -1, "first\x00": -1,
	} {
		if got := p.match(presented); got != want {
			t.Errorf("%q: %d, want %d", presented, got, want)
		}
	}
}

// Whatever the headers are, a request passes only with one secret header that is
// right and one user header that is valid, and never with a secret left in it.
func FuzzAuthenticate(f *testing.F) {
	f.Add("blink-auth-proxysecret", "s3cr3t", "blink-auth-userid", "alice", "X-Other", "x")
	f.Add("Blink_Auth_Proxysecret", "s3cr3t", "blink-auth-userid", "alice", "blink-auth-proxysecret", "s3cr3t")
	f.Add("blink-auth-proxysecret", "s3cr3t", "blink-auth-userid", "a b", "blink.auth.userid", "bob")
	p := provisioned(f, new(Provider), "s3cr3t", "old")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, name3, value3 string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{}
		var secrets, users []string
		exact := true
		for _, field := range [][2]string{{name1, value1}, {name2, value2}, {name3, value3}} {
			r.Header[field[0]] = append(r.Header[field[0]], field[1])
			folded := strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(asciiLower(field[0]))
			switch folded {
			case DefaultSecretHeader:
				secrets = append(secrets, field[1])
				exact = exact && asciiLower(field[0]) == folded
			case DefaultUserHeader:
				users = append(users, field[1])
				exact = exact && asciiLower(field[0]) == folded
			}
		}
		want := exact && len(secrets) == 1 && len(users) == 1 && caller.ValidID(users[0]) &&
			(secrets[0] == "s3cr3t" || secrets[0] == "old")

		w := httptest.NewRecorder()
		user, ok, err := p.Authenticate(w, r)
		if err != nil || ok != want {
			t.Fatalf("%v %v, want %v: %q", ok, err, want, r.Header)
		}
		if ok && (user.ID != users[0] || r.Header.Get(DefaultUserHeader) != users[0]) {
			t.Fatalf("user %q, header %q", user.ID, r.Header)
		}
		if !ok && w.Header().Get("WWW-Authenticate") == "" {
			t.Fatal("no challenge")
		}
		for name := range r.Header {
			if p.secretSet.Has(name) || !ok && p.userSet.Has(name) {
				t.Fatalf("left in the request: %q", name)
			}
		}
	})
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}
