package subscriptions

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestResourceCaddyfile(t *testing.T) {
	for words, want := range map[string]string{
		"public":            `{"public":true}`,
		"from http://app/p": `{"from":"http://app/p"}`,
		"from {env.APP}/{user_id}/p\nid key\nvalue name\nuser_header X-User\nheader Authorization \"Bearer {env.T}\"\nheader X-Key {file./k}\nforward_credentials\n" +
			"transport http {\ndial_timeout 1s\n}": `{"forward_credentials":true,"from":"{env.APP}/{user_id}/p","headers":{"Authorization":"Bearer {env.T}","X-Key":"{file./k}"},` +
			`"id":"key","transport":{"dial_timeout":1000000000,"protocol":"http"},"user_header":"X-User","value":"name"}`,
	} {
		config, err := adapt(":80 {\nsubscriptions {\nevent_types a\nresource r {\n" + words + "\n}\n}\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(config), `"resources":{"r":`+want+`}`) {
			t.Errorf("got %s\nwant %s", config, want)
		}
	}
}

func TestResourceCaddyfileErrors(t *testing.T) {
	const from = "from http://app/p\n"
	for words, want := range map[string]string{
		"":                                    "resource 'r': 'from' or 'public' is required, at Caddyfile:4",
		"id key":                              "resource 'r': 'from' or 'public' is required, at Caddyfile:4",
		"public\n" + from:                     "resource 'r': 'public' excludes 'from' and all that belongs to it, at Caddyfile:4",
		"public\nid key":                      "'public' excludes",
		"public\nvalue name":                  "'public' excludes",
		"public\nuser_header X-U":             "'public' excludes",
		"public\nheader X-K k":                "'public' excludes",
		"public\nforward_credentials":         "'public' excludes",
		"public\ntransport http":              "'public' excludes",
		"public x":                            "wrong argument count",
		"public\npublic":                      "duplicate subdirective 'public'",
		"public {\nx\n}":                      "'public' takes no block",
		"from":                                "wrong argument count",
		"from http://a http://b":              "wrong argument count",
		from + from:                           "duplicate subdirective 'from'",
		"from app/p":                          "from 'app/p' is not an http or https URL, at Caddyfile:5",
		"from ftp://app/p":                    "is not an http or https URL",
		"from {user_id}":                      "is not an http or https URL",
		from + "id":                           "wrong argument count",
		from + "id a b":                       "wrong argument count",
		from + "id a\nid a":                   "duplicate subdirective 'id'",
		from + "value":                        "wrong argument count",
		from + "value a\nvalue a":             "duplicate subdirective 'value'",
		from + "user_header":                  "wrong argument count",
		from + "user_header a:b":              "'a:b' is not a header name",
		from + "user_header X_User":           "Caddy drops names with '_' or '.'",
		from + "user_header Host":             "has a meaning of its own",
		from + "user_header A\nuser_header B": "duplicate subdirective 'user_header'",
		from + "header":                       "wrong argument count",
		from + "header X-K":                   "wrong argument count",
		from + "header X-K a b":               "wrong argument count",
		from + `header X-K ""`:                "wrong argument count",
		from + "header a:b c":                 "'a:b' is not a header name",
		from + "header Content-Length 7":      "has a meaning of its own",
		from + "header X-K a\nheader x-k b":   "duplicate header 'x-k'",
		from + "header X-K a {\nx\n}":         "'header' takes no block",
		from + "forward_credentials on":       "wrong argument count",
		from + "forward_credentials\nforward_credentials": "duplicate subdirective 'forward_credentials'",
		from + "transport":                      "wrong argument count",
		from + "transport fastcgi":              "transport must be 'http', not 'fastcgi'",
		from + "transport http\ntransport http": "duplicate subdirective 'transport'",
		from + "transport http {\nx\n}":         "unrecognized subdirective x",
		from + "timeout 1s":                     "unrecognized subdirective 'timeout', at Caddyfile:6",
	} {
		_, err := adapt(":80 {\nsubscriptions {\nevent_types a\nresource r {\n" + words + "\n}\n}\n}\n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", words, err, want)
		}
	}
	if _, err := adapt(":80 {\nsubscriptions {\nevent_types a\nresource r\n}\n}\n"); err == nil || !strings.Contains(err.Error(), "'from' or 'public' is required, at Caddyfile:4") {
		t.Errorf("without a block: %v", err)
	}
}

// What only the loaded config shows.
func TestResourceConfigErrors(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("BREAK", "a\nb")
	t.Setenv("PLANTED", "s3cret://x")
	for resource, want := range map[string]string{
		`{}`:                                  "resource 'r': 'from' or 'public' is required",
		`{"public":true,"from":"http://a"}`:   "resource 'r': 'public' excludes 'from'",
		`{"public":true,"headers":{"X":"y"}}`: "'public' excludes",
		`{"public":true,"transport":{"protocol":"http"}}`:         "'public' excludes",
		`{"public":true,"headers":{}}`:                            "",
		`{"from":"http://a/{user_id}"}`:                           "",
		`{"from":"{env.PLANTED}"}`:                                "from: the URL must begin with http:// or https:// and a host",
		`{"from":"{env.MISSING}"}`:                                "from: the URL must begin with",
		`{"from":"http:///p"}`:                                    "from: the URL must begin with",
		`{"from":"//a/p"}`:                                        "from: the URL must begin with",
		`{"from":"http://a/../b"}`:                                "from: the URL cannot be parsed, or has dot segments",
		`{"from":"http://a/%zz"}`:                                 "from: the URL cannot be parsed",
		`{"from":"http://{user_id}.a/"}`:                          "from: the URL's host must not depend on {user_id}",
		`{"from":"http://a:8{user_id}/"}`:                         "from: the URL's host must not depend on {user_id}",
		`{"from":"http://u:p@a/"}`:                                "from: the URL must not have a user or password",
		`{"from":"http://a/#f"}`:                                  "from: the URL must not have a fragment",
		`{"from":"http://a/#"}`:                                   "from: the URL must not have a fragment",
		`{"from":"http://a","user_header":"X.U"}`:                 "Caddy drops names",
		`{"from":"http://a","headers":{"Host":"b"}}`:              "has a meaning of its own",
		`{"from":"http://a","headers":{"x-user-id":"b"}}`:         "header X-User-Id has the user's id",
		`{"from":"http://a","headers":{"X-A":"b","x-a":"c"}}`:     "header X-A is given twice",
		`{"from":"http://a","headers":{"X-A":""}}`:                "header X-A: empty secret",
		`{"from":"http://a","headers":{"X-A":"{env.EMPTY}"}}`:     "header X-A: ",
		`{"from":"http://a","headers":{"X-A":"k {env.MISSING}"}}`: "header X-A: ",
		`{"from":"http://a","headers":{"X-A":"{env.BREAK}"}}`:     "header X-A: its value has characters that no header can carry",
		`{"from":"http://a","forward_credentials":true,"headers":{"authorization":"{env.HOME}"}}`: "header Authorization is the user's own, by forward_credentials",
		`{"from":"http://a","forward_credentials":true,"user_header":"Cookie"}`:                   "header Cookie is the user's own",
		`{"from":"http://a","transport":{"protocol":"fastcgi"}}`:                                  "loading transport",
		`{"from":"http://a","timeout":1}`:                                                         "timeout",
	} {
		config := `{"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},"apps":{"connector":{"database":{"path":"` + t.TempDir() +
			`/db"}},"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{"handler":"subscriptions","event_types":{"a":{}},"resources":{"r":` + resource + `}}]}]}}}}}`
		parsed := new(caddy.Config)
		err := json.Unmarshal([]byte(config), parsed)
		if err == nil {
			err = caddy.Validate(parsed)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", resource, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", resource, err)
		}
	}
}

// A secret that stands in the config is warned of.
func TestLiteralAuthorizationIsWarnedOf(t *testing.T) {
	e := start(t, with("from http://app.internal/", "header Authorization s3cret"))
	if logs := e.logs(); !strings.Contains(logs, "the header's secret can be read in the config") || strings.Contains(logs, "s3cret") {
		t.Errorf("logs: %s", logs)
	}
}
