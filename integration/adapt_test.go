package integration

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the JSON of the goldens anew")

const goldenSeparator = "\n----------\n"

// Each golden is a Caddyfile and, below a line of dashes, its JSON, or a part of
// the error that it gives.
func TestCaddyfileGoldens(t *testing.T) {
	files, err := filepath.Glob("caddyfile_adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, want, ok := strings.Cut(string(text), goldenSeparator)
			if !ok {
				t.Fatal("no line of dashes")
			}
			got, err := adapt(caddyfile + "\n")
			if strings.Contains(file, "/error_") {
				if want = strings.TrimSpace(want); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v\nwant one with: %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, got, "", "\t"); err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(caddyfile+goldenSeparator+indented.String()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if indented.String() != strings.TrimSpace(want) {
				t.Errorf("got %s\nwant %s", indented.String(), want)
			}
		})
	}
}

// The same errors, where a config is written in JSON.
func TestInvalidJSONConfigs(t *testing.T) {
	s := start(t, "", "EDGE {\n}")
	for handler, want := range map[string]string{
		`{"handler":"connector"}`:                                                                                                 "at least one service is required",
		`{"handler":"connector","services":{"a":{}}}`:                                                                             `service "a": proxy_url is required`,
		`{"handler":"connector","services":{"a":null}}`:                                                                           `service "a": proxy_url is required`,
		`{"handler":"connector","services":{"a b":{"proxy_url":"http://h"}}}`:                                                     "it must be 1 to 64 letters",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h/?q"}}}`:                                                    "must not have a query",
		`{"handler":"connector","services":{"a":{"proxy_url":"{env.NO_SUCH_URL}"}}}`:                                              "{env.NO_SUCH_URL}",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"prefix":"x"}`:                                          "must begin with a slash",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"max_body":-1}`:                                         "max_body is negative",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"user":"alice"}`:                                        "is not a placeholder",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"user_header":""}`:                                      "",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"user_header":"Via"}`:                                   "has a meaning of its own",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"transport":{"protocol":"fastcgi"}}`:                    "it must be 'http'",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"transport":{"protocol":"http","proxy_protocol":"v2"}}`: "proxy_protocol is not supported",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h"}},"no_such_field":1}`:                                     "no_such_field",
		`{"handler":"connector","services":{"a":{"proxy_url":"http://h","sign":true}}}`:                                           "sign needs a proxy_secret",
		`{"handler":"authentication","providers":{"proxy_secret":{}}}`:                                                            "a secret is required",
		`{"handler":"authentication","providers":{"proxy_secret":{"secrets":[""]}}}`:                                              "secret 1: empty secret",
		`{"handler":"authentication","providers":{"proxy_secret":{"secrets":["a"],"secret_header":"Content-Length"}}}`:            "has a meaning of its own",
		`{"handler":"authentication","providers":{"proxy_secret":{"secrets":["a"],"secret_header":"X-A","user_header":"x-a"}}}`:   "cannot share the header",
	} {
		err := s.tryLoadJSON(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"a":{"listen":["127.0.0.1:0"],"routes":[{"handle":[` + handler + `]}]}}}}}`)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", handler, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", handler, err, want)
		}
	}
}
