package datastore

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestUnmarshalDatabase(t *testing.T) {
	for input, want := range map[string]string{
		"connector":                                                           `{}`,
		"connector {\n database sqlite\n}":                                    `{"database":{"driver":"sqlite"}}`,
		"connector {\n database sqlite /var/lib/x.db\n}":                      `{"database":{"driver":"sqlite","path":"/var/lib/x.db"}}`,
		"connector {\n database postgres {env.URL}\n}":                        `{"database":{"driver":"postgres","dsn":"{env.URL}"}}`,
		"connector {\n encryption_keys {env.A} {file./b}\n}":                  `{"encryption_keys":["{env.A}","{file./b}"]}`,
		"connector {\n egress {\n  allow 10.0.0.0/8\n }\n database sqlite\n}": `{"database":{"driver":"sqlite"},"egress":{"allow":["10.0.0.0/8"]}}`,
	} {
		app := new(App)
		if err := app.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err != nil {
			t.Errorf("%q: %v", input, err)
			continue
		}
		got, err := json.Marshal(app)
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; want %s", input, got, err, want)
		}
	}
	for input, wantErr := range map[string]string{
		"database":                              "wrong argument count",
		"database mysql x":                      "database must be sqlite or postgres, not 'mysql'",
		"database postgres":                     "wrong argument count",
		"database postgres a b":                 "after 'b'",
		"database sqlite a b":                   "after 'b'",
		"database sqlite\n database sqlite":     "duplicate subdirective 'database'",
		"database sqlite {\n x\n}":              "'database' takes no block",
		"encryption_keys":                       "wrong argument count",
		"encryption_keys a\n encryption_keys b": "duplicate subdirective 'encryption_keys'",
		"encryption_keys a {\n x\n}":            "'encryption_keys' takes no block",
		"keys a":                                "unrecognized subdirective 'keys'",
	} {
		err := new(App).UnmarshalCaddyfile(caddyfile.NewTestDispenser("connector {\n " + input + "\n}"))
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: %v, want %s", input, err, wantErr)
		}
	}
}
