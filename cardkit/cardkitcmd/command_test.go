package cardkitcmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// run executes the registered command as Caddy's main command would.
func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	registered, ok := caddycmd.Commands()["cardkit"]
	if !ok {
		t.Fatal("command is not registered")
	}
	cmd := &cobra.Command{Use: registered.Name + " " + registered.Usage}
	registered.CobraFunc(cmd)
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	root.AddCommand(cmd)

	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(append([]string{"cardkit"}, args...))
	err = root.Execute()
	return out.String(), errOut.String(), err
}

func TestCommand(t *testing.T) {
	for name, tc := range map[string]struct {
		args     []string
		expected string
	}{
		"post": {
			args:     []string{"post", "/connector/l-13c68b6e-9c6f-41c5-868b-6e9c6f91c59a/holiday-requests/2346?action=approve"},
			expected: "blink:post?url=L2Nvbm5lY3Rvci9sLTEzYzY4YjZlLTljNmYtNDFjNS04NjhiLTZlOWM2ZjkxYzU5YS9ob2xpZGF5LXJlcXVlc3RzLzIzNDY/YWN0aW9uPWFwcHJvdmU%3D&body=e30%3D\n",
		},
		"post with body": {
			args:     []string{"post", "/connector/l-a26dab83-33a1-459b-adab-8333a1259b7d/test", "--body", `{"test":"body"}`},
			expected: "blink:post?url=L2Nvbm5lY3Rvci9sLWEyNmRhYjgzLTMzYTEtNDU5Yi1hZGFiLTgzMzNhMTI1OWI3ZC90ZXN0&body=eyJ0ZXN0IjoiYm9keSJ9\n",
		},
		"post with empty body": {
			args:     []string{"post", "/connector/l-1", "--body="},
			expected: "blink:post?url=L2Nvbm5lY3Rvci9sLTE%3D&body=e30%3D\n",
		},
		"link": {
			args:     []string{"link", "https://joinblink.com/"},
			expected: "blink:link?url=aHR0cHM6Ly9qb2luYmxpbmsuY29tLw%3D%3D&action=open\n",
		},
		"webview": {
			args:     []string{"webview", "https://joinblink.com/"},
			expected: "blink:webview?url=aHR0cHM6Ly9qb2luYmxpbmsuY29tLw%3D%3D&action=open\n",
		},
		"webview with id": {
			args:     []string{"webview", "https://content.joinblink.com/#/timeline", "--id", "timeline"},
			expected: "blink:webview?url=aHR0cHM6Ly9jb250ZW50LmpvaW5ibGluay5jb20vIy90aW1lbGluZQ%3D%3D&action=open&id=timeline\n",
		},
		"decode a post": {
			args: []string{"decode", "blink:post?url=L2Nvbm5lY3Rvci9sLTEvYT9iPTEmYz0y&body=eyJ0ZXN0IjoiPGI-In0="},
			expected: `{
	"kind": "post",
	"url": "/connector/l-1/a?b=1&c=2",
	"body": {
		"test": "<b>"
	}
}
`,
		},
		"decode a webview": {
			args: []string{"decode", "blink:webview?url=aHR0cHM6Ly9jb250ZW50LmpvaW5ibGluay5jb20vIy90aW1lbGluZQ%3D%3D&action=open&id=timeline"},
			expected: `{
	"kind": "webview",
	"url": "https://content.joinblink.com/#/timeline",
	"id": "timeline"
}
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := run(t, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			if stdout != tc.expected {
				t.Errorf("got stdout:\n%s\nexpected:\n%s", stdout, tc.expected)
			}
			if stderr != "" {
				t.Errorf("got stderr: %s", stderr)
			}
		})
	}
}

func TestCommandWrongUse(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		// what stderr must contain
		expected string
	}{
		"no subcommand":         {nil, "a subcommand is required"},
		"unknown subcommand":    {[]string{"get"}, `unknown subcommand "get"`},
		"unknown flag":          {[]string{"--x"}, "unknown flag: --x"},
		"post without path":     {[]string{"post"}, "caddy cardkit post takes exactly one argument, <path>; got 0"},
		"link with two":         {[]string{"link", "https://a.example", "x"}, "one argument, <url>; got 2"},
		"webview without url":   {[]string{"webview", "--id", "x"}, "one argument, <url>; got 0"},
		"decode without action": {[]string{"decode"}, "one argument, <action>; got 0"},
		"link with id":          {[]string{"link", "https://a.example", "--id", "x"}, "unknown flag: --id"},
		"post to a URL":         {[]string{"post", "https://a.example/"}, `parameter "url": not allowed`},
		"post, bad body":        {[]string{"post", "/connector/l-1", "--body", "{"}, `parameter "body": not allowed: it must be JSON`},
		"link, javascript":      {[]string{"link", "javascript:alert(1)"}, `parameter "url": not allowed: it must be an http or https URL`},
		"decode, cut by a shell": {
			[]string{"decode", "blink:post?url=L2Nvbm5lY3Rvci9sLTE"}, `parameter "body": required`,
		},
		"decode, not an action": {[]string{"decode", "https://a.example"}, "not a client action"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := run(t, tc.args...)
			// Caddy's main exits with 1 for any error
			if err == nil {
				t.Fatal("no error")
			}
			if stdout != "" {
				t.Errorf("got stdout: %s", stdout)
			}
			if !strings.Contains(stderr, tc.expected) {
				t.Errorf("got stderr %q, expected %q", stderr, tc.expected)
			}
		})
	}
}
