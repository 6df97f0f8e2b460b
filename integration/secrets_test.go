package integration

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The filter that every example has.
const logFilter = `log default {
		output file %s
		level DEBUG
		format filter {
			wrap json
			request>headers>Blink-Auth-Proxysecret delete
			request>headers>Blink-Auth-Userid delete
		}
	}`

// wantNoSecret looks for a secret in every spelling that a log or a document
// might give it.
func wantNoSecret(t *testing.T, where, text, secret string) {
	t.Helper()
	for _, spelling := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), fmt.Sprintf("%x", secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
	} {
		if i := strings.Index(text, spelling); i >= 0 {
			t.Errorf("%s has the secret %q: %.600s", where, secret, text[max(0, i-300):])
		}
	}
}

// B13, S40, Z14's like: secrets planted in config, header and upstream appear in
// no log of any level, in no document of the admin API, and in no error.
func TestSecretsNeverLeak(t *testing.T) {
	const (
		envSecret    = "s3cr3t:of/env+1"
		fileSecret   = "s3cr3t:of/file+2"
		oldSecret    = "s3cr3t:of/old+3"
		sentSecret   = "s3cr3t:of/client+4" // what an attacker tries
		callerSecret = "s3cr3t:of/caller+5" // the caller's own session
	)
	secrets := []string{envSecret, fileSecret, oldSecret, sentSecret, callerSecret}
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(fileSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LEAK_ENV", envSecret)
	t.Setenv("LEAK_OLD", oldSecret)

	integration := freeAddr(t)
	closed := newUpstream(t, nil)
	closed.listener.Close()
	sites := fmt.Sprintf(`EDGE {
	log
	%s
	connector {
		service integration http://%s {file.%s}
		service closed %s {env.LEAK_ENV}
		service echo %s {env.LEAK_ENV}
		service malformed %s {env.LEAK_ENV}
		service signed %s {env.LEAK_ENV} {
			sign
		}
	}
}
http://:%s {
	log
	proxy_secret {file.%s} {env.LEAK_OLD}
	respond "user {http.auth.user.id}"
}
`, accounts, integration, secretFile, closed.url, echoing(t, "HTTP/1.1 200 OK\r\nConnection: close\r\n%s\r\n"),
		echoing(t, "HTTP/1.1 200 OK\r\n%s\r\n"), echoing(t, "HTTP/1.1 200 OK\r\nConnection: close\r\n%s\r\n"),
		portOf(integration), secretFile)

	s := start(t, "", "")
	options := fmt.Sprintf(logFilter, s.log)
	s.load(options, sites)

	var answers strings.Builder
	say := func(got answer) { fmt.Fprintln(&answers, got.Status, got.Header, got.body) }
	client := []string{"blink-auth-proxysecret: " + sentSecret, "Cookie: session=" + callerSecret}
	for _, service := range []string{"integration", "closed", "echo", "malformed", "signed", "none", ".."} {
		say(s.get("/connector/"+service+"/x", client...))
		say(s.do("POST", "/connector/"+service+"/auth/1", "{}", client...))
		say(s.do("TRACE", "/connector/"+service+"/x", "", client...))
		say(s.get("/connector/"+service+"/x", append(client, "Authorization: Bearer "+callerSecret)...))
	}
	direct := &server{t: t, addr: integration}
	for _, header := range [][]string{
		{"blink-auth-proxysecret: " + sentSecret, "blink-auth-userid: alice"},
		{"blink-auth-proxysecret: " + oldSecret, "blink-auth-userid: alice"},
		{"blink-auth-proxysecret: " + fileSecret},
		{"blink-auth-proxysecret: " + fileSecret, "blink-auth-proxysecret: " + sentSecret, "blink-auth-userid: alice"},
	} {
		say(direct.get("/", header...))
	}
	for _, path := range []string{"/config/", "/metrics", "/reverse_proxy/upstreams", "/id/x", "/debug/vars"} {
		fmt.Fprintln(&answers, path, s.fromAdmin(path))
	}
	adapted, err := adapt(strings.ReplaceAll(sites, "EDGE", ":1"))
	if err != nil {
		t.Fatal(err)
	}

	logs := s.logs()
	for _, secret := range secrets {
		wantNoSecret(t, "a log", logs, secret)
		wantNoSecret(t, "an answer", answers.String(), secret)
		wantNoSecret(t, "the adapted config", string(adapted), secret)
	}
	for _, want := range []string{"upstream failed", "request without valid proof", "handled request", "upstream answered"} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log lacks %q, so nothing was tested: %s", want, logs)
		}
	}
	for _, want := range []string{"user alice", `"proxy_secret":"{file.`, "caddy_proxy_secret_requests_total"} {
		if !strings.Contains(answers.String(), want) {
			t.Errorf("%q is in no answer, so nothing was tested: %s", want, answers.String())
		}
	}
}

// The control of the test above: without the filter, what a client sends under
// the secret's name is in the access log. Hence the filter in every example.
func TestLogFilterIsNeeded(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	s.get("/connector/sales/x", "blink-auth-proxysecret: s3nt")
	if !strings.Contains(s.logs(), "s3nt") {
		t.Error("Caddy hides the header on its own now: the examples can lose their filter")
	}
}

// A config whose secret cannot be resolved does not load, and what it says is
// where, not what.
func TestUnusableSecretsAreRefused(t *testing.T) {
	t.Setenv("EMPTY_SECRET", "")
	t.Setenv("BAD_SECRET", "s3cr3t\r\nX-Injected: yes")
	t.Setenv("SPACED_SECRET", " s3cr3t")
	t.Setenv("LONG_SECRET", strings.Repeat("s3cr3t", 1000))
	s := start(t, "", "EDGE {\n}")
	for _, secret := range []string{
		"{env.EMPTY_SECRET}", "{env.NO_SUCH_SECRET}", "{file./no/such/file}", "{env.BAD_SECRET}", "{env.SPACED_SECRET}",
		"{env.LONG_SECRET}", "{no.such.placeholder}", "x{env.NO_SUCH_SECRET}",
	} {
		for what, site := range map[string]string{
			`service "sales"`: "EDGE {\n\tconnector {\n\t\tservice sales http://127.0.0.1:9 " + secret + "\n\t}\n}",
			"secret 2":        "EDGE {\n\tproxy_secret first " + secret + "\n\trespond ok\n}",
		} {
			err := s.tryLoad("", site)
			if err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%s: %v", secret, err)
			}
		}
	}
}

// A literal secret works, with a warning that does not repeat it.
func TestLiteralSecretIsWarnedOf(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", strings.ReplaceAll(edgeWith(t, u, ""), "{env.SALES_SECRET}", proxySecret))
	s.get("/connector/sales/x")
	wantProof(t, u.one(t), "alice")
	logs := s.logs()
	if !strings.Contains(logs, "the proxy secret can be read in the config") {
		t.Error("no warning")
	}
	wantNoSecret(t, "the log", logs, proxySecret)
}

// echoing is the URL of an upstream that answers with the header lines it got,
// in the place of %s.
func echoing(t *testing.T, format string) string {
	t.Helper()
	return newUpstream(t, func(r *http.Request, conn net.Conn) {
		var lines strings.Builder
		if strings.Contains(format, "Connection") {
			for name, values := range r.Header {
				fmt.Fprintf(&lines, "%s: %s\r\n", name, values[0])
			}
		} else {
			fmt.Fprintf(&lines, "%s\r\n", r.Header.Get("Blink-Auth-Proxysecret"))
		}
		fmt.Fprintf(conn, format, lines.String())
	}).url
}
