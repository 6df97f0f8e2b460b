package datastorecmd

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// run executes the registered command as Caddy's main command would.
func run(t *testing.T, args ...string) (stdout string, err error) {
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
	root.SetArgs(append([]string{"connector"}, args...))
	err = root.Execute()
	return out.String(), err
}

func TestGenerateKey(t *testing.T) {
	first, err := run(t, "generate-key")
	if err != nil {
		t.Fatal(err)
	}
	second, err := run(t, "generate-key")
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(first, "\n"))
	if err != nil || len(key) != 32 || first == second {
		t.Errorf("%q, %q, %v", first, second, err)
	}
}

func TestWrongUse(t *testing.T) {
	before := subcommands
	t.Cleanup(func() { subcommands = before })
	Add(func() *cobra.Command { return &cobra.Command{Use: "import <file>"} })
	for wantErr, args := range map[string][]string{
		"a subcommand is required: generate-key, import":         nil,
		`unknown subcommand "x"`:                                 {"x"},
		`unknown command "y" for "caddy connector generate-key"`: {"generate-key", "y"},
	} {
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: %v, want %s", args, err, wantErr)
		}
	}
}
