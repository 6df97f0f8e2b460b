package connectionscmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/f737063d/caddy-connector/connections/openapi"
)

const document = `openapi: 3.1.0
info: {title: Acme & Co, version: "1"}
servers: [{url: "https://{account}.acme.example.com/?a=1&b=2"}]
security: [{key: []}]
paths: {/me: {get: {responses: {"200": {description: Me}}}}}
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}}}
`

// run executes the registered command as Caddy's main command would.
func run(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	registered, ok := caddycmd.Commands()["connector"]
	if !ok {
		t.Fatal("command is not registered")
	}
	cmd := &cobra.Command{Use: registered.Name + " " + registered.Usage}
	registered.CobraFunc(cmd)
	root := &cobra.Command{Use: "caddy", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(cmd)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(append([]string{"connector", "import"}, args...))
	err = root.Execute()
	return out.String(), err
}

func TestImportFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "acme api.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	const block = `api acme-co {
	base_url "https://{{account}}.acme.example.com/?a=1&b=2"
	auth api_key header X-Api-Key
	test GET /me
`
	for _, args := range [][]string{{file}, {"--format", "caddyfile", file}} {
		if got, err := run(t, "", args...); err != nil || got != block+"\topenapi `"+file+"`\n}\n" {
			t.Errorf("%q: %v\n%s", args, err, got)
		}
	}
	if got, err := run(t, document, "-n", "other", "-"); err != nil || got != strings.Replace(block, "acme-co", "other", 1)+"}\n" {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestImportAsJSON(t *testing.T) {
	got, err := run(t, document, "--format", "json", "-")
	if err != nil {
		t.Fatal(err)
	}
	var made openapi.Imported
	if err := json.Unmarshal([]byte(got), &made); err != nil || made.API.Name != "acme-co" || made.API.Test != "/me" || !strings.Contains(got, "?a=1&b=2") {
		t.Errorf("%v\n%s", err, got)
	}
	if !strings.Contains(got, `"messages": []`) {
		t.Errorf("%s", got)
	}
}

// A block that lacks something is printed all the same.
func TestIncomplete(t *testing.T) {
	got, err := run(t, `{"openapi": "3.0.0"}`, "-")
	if err == nil || err.Error() != errIncomplete.Error() || !strings.HasPrefix(got, "# error: The document names no server") || !strings.HasSuffix(got, "api api {\n\tauth none\n}\n") {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestWrongUse(t *testing.T) {
	for _, test := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", nil, "exactly one argument"},
		{"", []string{"a", "b"}, "exactly one argument"},
		{"", []string{filepath.Join(t.TempDir(), "none")}, "no such file"},
		{"", []string{t.TempDir()}, "is a directory"},
		{document, []string{"--format", "xml", "-"}, "the format is caddyfile or json"},
		{document, []string{"--name", "a b", "-"}, "cannot be the name of an API"},
		{"a: b\n\nopenapi: 2\n", []string{"-"}, `-: line 3: this is OpenAPI "2"`},
		{document + "a: [", []string{"-"}, "this is not YAML"},
		{"x: " + strings.Repeat("x", openapi.MaxDocument), []string{"-"}, "larger than 32 MiB"},
	} {
		if got, err := run(t, test.stdin, test.args...); err == nil || !strings.Contains(err.Error(), test.want) || got != "" {
			t.Errorf("%q: %v, want %s\n%s", test.args, err, test.want, got)
		}
	}
}
