package integration

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Every example is formatted, adapts, validates, and hides both headers and what
// the steps of a sign-in have in their URLs from the logs.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*/Caddyfile")
	if err != nil || len(files) < 2 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if formatted := caddyfile.Format(text); !bytes.Equal(formatted, text) {
				t.Errorf("not formatted; it should be:\n%s", formatted)
			}
			for _, hidden := range []string{
				"request>headers>Blink-Auth-Proxysecret delete", "request>headers>Blink-Auth-Userid delete",
				"request>uri regexp /oauth2/(authorize|callback)\\?.* /oauth2/$1?REDACTED", "replace state REDACTED", "replace confirmation REDACTED",
			} {
				if !bytes.Contains(text, []byte(hidden)) {
					t.Errorf("the log filter lacks %q", hidden)
				}
			}
			t.Setenv("TMPDIR", t.TempDir()) // logs are opened there
			config, err := adapt(string(text))
			if err != nil {
				t.Fatal(err)
			}
			config = withSecretFiles(t, config)
			var parsed caddy.Config
			if err := json.Unmarshal(config, &parsed); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&parsed); err != nil {
				t.Error(err)
			}
		})
	}
}

// formedSecrets are those that have a form.
var formedSecrets = map[string]string{
	"database-url":       "postgres://caddy:secret@database.internal/connector",
	"connector-keys":     keys(1) + "\n" + keys(2) + "\n",
	"publisher-hash":     "$2a$04$vrSOjE1Gk7numTvzgO6jruqhNsAS61Z4.m8JYLTd4VjVpj8vGcfGS",
	"acme-key":           "acme-has-this-key-of-its-own",
	"webhook-secret":     "whsec_ZGVtby1zZWNyZXQtb2YtdGhlLXdlYmhvb2s=",
	"webhook-secret-old": "whsec_b2xkLWRlbW8tc2VjcmV0LW9mLXRoZS13ZWJob29r",
}

// withSecretFiles makes the secret files that a config names and that this
// machine lacks, elsewhere.
func withSecretFiles(t *testing.T, config []byte) []byte {
	t.Helper()
	t.Chdir("..")
	dir := t.TempDir()
	return regexp.MustCompile(`\{file\.(/[^}]+)\}`).ReplaceAllFunc(config, func(placeholder []byte) []byte {
		file := filepath.Join(dir, filepath.Base(string(placeholder[:len(placeholder)-1])))
		content, formed := formedSecrets[filepath.Base(file)]
		if !formed {
			content = "secret of " + filepath.Base(file)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return []byte("{file." + file + "}")
	})
}

// differing are the parts of the README's outputs that are others each time.
var differing = regexp.MustCompile(`\b(sub|evt)_[0-9A-Z]{26}\b|"01[0-9A-Z]{24}"|\bdlv_\d+\b|\b\d{4}-\d\d-\d\dT[\d:.]+Z|(?:"(?:attempts|number|duration_ms|latency_ms)":)\d+\b`)

// assignment is a command that keeps an output for those after it.
var assignment = regexp.MustCompile(`^([a-z]+)=\$\(`)

// The README's commands give what the README says, on other ports.
func TestQuickstartOfTheReadme(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have curl")
		}
		t.Skip("left out: the README's commands, because this machine has no curl")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	session := ""
	for _, part := range regexp.MustCompile("(?s)<!-- quickstart -->\n```console\n(.*?)```").FindAllSubmatch(readme, -1) {
		session += string(part[1])
	}
	ports := startQuickstart(t)
	commands := strings.Split("\n"+session, "\n$ ")[1:]
	if len(commands) < 20 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, command := range commands {
		line, want := cutCommand(command)
		line, want = ports.Replace(line), differing.ReplaceAllString(strings.TrimSpace(ports.Replace(want)), "…")
		if name := assignment.FindStringSubmatch(line); name != nil {
			t.Setenv(name[1], runCurl(t, line+`; printf %s "$`+name[1]+`"`))
			continue
		}
		var got string
		as := func() bool {
			got = runCurl(t, line)
			return differing.ReplaceAllString(strings.TrimSpace(got), "…") == want
		}
		// what is sent in the background arrives a moment later
		reads := !strings.Contains(line, " -d ") && !strings.Contains(line, " -X ")
		if reads && !soon(as) || !reads && !as() {
			t.Errorf("%s\ngot %s\nwant %s", line, got, want)
		}
	}
}

// startQuickstart runs the quickstart, with other words in place of some, until the
// test ends, from the top of the repository and on other ports, which it returns.
func startQuickstart(t *testing.T, oldnew ...string) *strings.Replacer {
	t.Helper()
	text, err := os.ReadFile("../examples/quickstart/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	var renamed []string
	for _, port := range []string{":8080", ":8081", ":8082", ":8083", ":8084", ":8085", ":8086", ":8087", ":8088", ":8089"} {
		renamed = append(renamed, port, ":"+portOf(freeAddr(t)))
	}
	ports := strings.NewReplacer(renamed...)
	t.Setenv("TMPDIR", t.TempDir()) // what earlier runs have kept stays theirs
	t.Chdir("..")                   // the secrets are named from there
	caddyfile := strings.Replace(ports.Replace(strings.NewReplacer(oldnew...).Replace(string(text))), "{\n", "{\n\tadmin off\n\tstorage file_system "+storage+"\n", 1)
	config, err := adapt(caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	(&server{t: t}).loadJSON(string(config))
	t.Cleanup(func() { _ = caddy.Stop() })

	for _, port := range []string{":8083", ":8087"} {
		eventually(t, "the certificate of the site at "+port, func() bool {
			conn, err := tls.Dial("tcp", "localhost"+ports.Replace(port), &tls.Config{InsecureSkipVerify: true})
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
	}
	return ports
}

// runCurl runs a line of the README, in which curl is to be silent and not to
// wait for ever, and returns what it prints.
func runCurl(t *testing.T, line string) string {
	t.Helper()
	if !strings.HasPrefix(assignment.ReplaceAllString(line, ""), "curl ") {
		t.Fatalf("not a curl command: %s", line)
	}
	out, err := exec.Command("bash", "-c", `curl() { command curl -sS --max-time 20 "$@"; }; `+line).Output()
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return string(out)
}

// cutCommand separates a command from its output: it goes on over a line that
// ends with a backslash or in the middle of a quotation.
func cutCommand(session string) (command, output string) {
	lines := strings.Split(session, "\n")
	for i, line := range lines {
		command = strings.Join(lines[:i+1], "\n")
		if !strings.HasSuffix(line, "\\") && strings.Count(command, "'")%2 == 0 {
			return command, strings.Join(lines[i+1:], "\n")
		}
	}
	return session, ""
}

// The README's cardkit lines, through the command itself.
func TestCardkitOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "caddy")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/caddy").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sessions := regexp.MustCompile(`(?m)^\$ caddy (cardkit .*)\n((?:[^$`+"`"+`].*\n)+)`).FindAllStringSubmatch(string(readme), -1)
	if len(sessions) < 2 {
		t.Fatalf("%d commands", len(sessions))
	}
	for _, session := range sessions {
		got, err := exec.Command("sh", "-c", binary+" "+session[1]).CombinedOutput()
		if err != nil || string(got) != session[2] {
			t.Errorf("%s: %v\ngot %s\nwant %s", session[1], err, got, session[2])
		}
	}
}
