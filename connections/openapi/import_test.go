package openapi

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(file(t, name)); got != want {
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

// What is made of whole documents, and in the form of `caddy fmt`.
func TestImport(t *testing.T) {
	for _, name := range []string{"helpdesk.yaml", "ledger.json", "bare.yaml"} {
		made, err := Import(file(t, name), "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		block := made.Caddyfile("./" + name)
		golden(t, name+".caddyfile", block)
		if formatted := string(caddyfile.Format([]byte(block))); formatted != block {
			t.Errorf("%s: caddy fmt makes of it\n%s", name, formatted)
		}
		encoded, err := json.MarshalIndent(made, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".api.json", string(encoded)+"\n")
	}
}

func TestName(t *testing.T) {
	for title, want := range map[string]string{
		"Acme":                             "acme",
		"  The  Acme -- API (v2) ":         "the-acme-api-v2",
		"3scale":                           "api-3scale",
		"":                                 "api",
		"\U0001f600":                       "api",
		"Ünïcode":                          "n-code",
		strings.Repeat("very long ", 1000): "very-long-very-long-very-long-ve",
	} {
		if got := imported(t, document(t, map[string]any{"info": map[string]any{"title": title}})).API.Name; got != want || !IsName(got) {
			t.Errorf("%.40q: %q, want %q", title, got, want)
		}
	}
	for name, ok := range map[string]bool{"a": true, "a-b_9": true, "9a": false, "a b": false, "a{": false, strings.Repeat("a", 65): false} {
		if _, err := Import([]byte(document(t, nil)), name); (err == nil) != ok {
			t.Errorf("%.40q: %v", name, err)
		}
	}
}

// document encodes an OpenAPI document.
func document(t testing.TB, members map[string]any) string {
	t.Helper()
	all := map[string]any{"openapi": "3.1.0", "paths": map[string]any{}, "info": map[string]any{"title": "x", "version": "1"}}
	for name, value := range members {
		all[name] = value
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
