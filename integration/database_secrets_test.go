package integration

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// What is planted besides.
const (
	appSecret    = "s3cr3t:of/app+5"    // by which the app knows the edge
	headerSecret = "s3cr3t:of/header+6" // that a subscriber has sent along
)

var hookSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("s3cr3t:of/the webhook+7 "))

// Z14, I14: what is secret in the database, or opens it, is in no log of any
// level, no config, no metric, no answer but the one that makes it, and not in
// the database's files or rows as it is.
func TestDatabaseSecretsNeverLeak(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		t.Setenv("EDGE_KEYS", keys(1))
		t.Setenv("LEAK_APP", appSecret)
		database, _, _ = strings.Cut(database, "\n")
		ca := newAuthority(t)
		service := newService(t, ca, telling("HTTP/1.1 500 %s\r\nX-Echo: %s\r\nConnection: close\r\n\r\n<h1>%s</h1>"))
		app, hook := newUpstream(t, appOf(appSecret)), newService(t, ca, subscriberOf(headerSecret))
		resources := ""
		for _, kind := range []string{"good", "status", "text", "header", "moved", "protocol"} {
			resources += fmt.Sprintf("resource %s {\nfrom %s/%[1]s\nheader Authorization \"Bearer {env.LEAK_APP}\"\n}\n", kind, app.url)
		}
		site := strings.TrimSuffix(databaseSite(service), "}\n}\n") + "subscriptions {\nevent_types task.create\n" + resources + "}\npublish_events\n}\n}\n"
		s := start(t, ca.withDatabase(database+"\nencryption_keys {env.EDGE_KEYS}"), site)

		l := &leaks{server: s, secrets: []string{metadataSecret, appSecret, headerSecret, hookSecret, strings.TrimPrefix(hookSecret, "whsec_"), keys(1), pgtest.Password}}
		l.keepInstances(t, service)
		l.subscribe(t, hook)
		l.publish(t, hook)
		for _, path := range []string{"/config/", "/metrics", "/debug/vars", "/debug/pprof/goroutine?debug=2", "/connector/ready"} {
			l.ask("GET", path, "")
		}
		l.ask("POST", "/connector/keys/rotate", "")

		for _, want := range []string{
			"201 Created", "200 OK", "202 Accepted", "204 No Content", "400 Bad", "403 Forbidden", "413 Request", "415 Unsupported", "422 Unprocessable",
			"502 Bad Gateway", `"metadata_set":true`, `"headers":["authorization"]`, `"handshake":"x-hook-secret"`, `"state":"pending"`, "caddy_deliveries_attempts_total", `"reencrypted":0`,
		} {
			if !strings.Contains(l.answers.String(), want) {
				t.Errorf("%q is in no answer, so nothing was tested", want)
			}
		}
		logs := s.logs()
		for _, want := range []string{below + "/instances/omniwear", `"instance":"omniwear"`, "looking up resources failed", `"uri":"/subscriptions"`, "a handshake failed"} {
			if !strings.Contains(logs, want) {
				t.Errorf("the log lacks %q, so nothing was tested", want)
			}
		}
		rows := everythingIn(t, database)
		if !strings.Contains(rows, "omniwear") || !strings.Contains(rows, hook.url) {
			t.Error("what was kept was not found, so nothing was tested")
		}
		for _, secret := range l.secrets {
			wantNoSecret(t, "an answer", l.answers.String(), secret)
			wantNoSecret(t, "a log", logs, secret)
			wantNoSecret(t, "the database", rows, secret)
		}
	})
}

// leaks is where secrets are looked for, and which.
type leaks struct {
	*server
	answers strings.Builder
	secrets []string
}

// ask sends a request to the admin API.
func (l *leaks) ask(method, path, body string, header ...string) {
	l.t.Helper()
	got := l.toAdmin(method, path, body, header...)
	fmt.Fprintln(&l.answers, method, path, got.Status, got.Header, got.body)
}

// request sends JSON to the edge.
func (l *leaks) request(method, path, body string) string {
	l.t.Helper()
	got := l.do(method, path, body, asJSON)
	fmt.Fprintln(&l.answers, method, path, got.Status, got.Header, got.body)
	return got.body
}

// make is request for an answer that has a new secret, on purpose. It returns an
// id in it.
func (l *leaks) make(path, body string, status int) (id string) {
	l.t.Helper()
	got := l.do("POST", path, body, asJSON)
	secret := regexp.MustCompile(`"secret":"(whsec_([^"]+))"`).FindStringSubmatch(got.body)
	if got.StatusCode != status || secret == nil {
		l.t.Fatalf("POST %s %s: %d %s", path, body, got.StatusCode, got.body)
	}
	l.secrets = append(l.secrets, secret[1:]...)
	fmt.Fprintln(&l.answers, got.Status, got.Header, strings.Replace(got.body, secret[1], "", 1))
	return regexp.MustCompile(`sub_\w+|$`).FindString(got.body)
}

// keepInstances has the database keep metadata, or not.
func (l *leaks) keepInstances(t *testing.T, service *upstream) {
	secret := quoted(`{"token":"` + metadataSecret + `"}`)
	for _, body := range []string{
		`{"integration":"instagram","metadata":` + secret + `}`, `{"integration":"instagram","metadata":` + secret + `,"active":1}`, `{"metadata":` + secret + `}`,
		`{"integration":` + secret + `}`, `{"integration":"instagram","metadata":[` + secret + `]}`, `{` + secret + `:1}`, `{"integration":"instagram","metadata":` + secret,
		`{"integration":"instagram","metadata":"` + metadataSecret + strings.Repeat("x", 5000) + `"}`, `{"integration":"instagram","metadata":` + secret + strings.Repeat(" ", 64<<10) + `}`,
	} {
		l.ask("PUT", below+"/instances/omniwear", body)
		l.ask("PUT", below+"/instances/omniwear", body, "Content-Type: text/plain")
		l.ask("PUT", below+"/tickets/62", body)
	}
	l.ask("PUT", below+"/tickets/62", `{"instance":"omniwear"}`)
	for _, path := range []string{"/instances", "/instances/omniwear", "/tickets?instance=omniwear", "/tickets/62"} {
		l.ask("GET", below+path, "")
	}
	l.request("POST", like, "{}")
	l.ask("DELETE", below+"/tickets/62", "")
	if sent, _ := sentFields(t, service.one(t)); !strings.Contains(sent, metadataSecret) {
		t.Errorf("the service got %q, so nothing was tested", sent)
	}
}

// subscribe has the database keep secrets of subscriptions, or not.
func (l *leaks) subscribe(t *testing.T, hook *upstream) {
	const rest = `","resource_type":"good","resource_id":"p1","events":["*"]`
	own := `,"secret":"` + hookSecret + `","headers":{"Authorization":"Bearer ` + headerSecret + `"}`
	target := func(path string) string { return `{"target_url":"` + hook.url + path + rest + own }
	id := l.make("/subscriptions", target("/good")+"}", http.StatusCreated)
	for _, body := range []string{
		target("/good") + "}", target("/good"), target("/good") + `,"secret":["` + hookSecret + `"]}`, target("/good") + `,"signature":"v1a"}`,
		target("/x") + `,"headers":{"Authorization":"` + headerSecret + `\n"}}`, target("/x") + `,"headers":{"` + headerSecret + `":"x"}}`,
		target("/x") + `,"headers":{"X-Hook-Secret":"` + headerSecret + `"}}`, target("/x") + `,"filter":"` + headerSecret + `"}`,
		`{"target_url":"http://` + headerSecret + rest + own + "}", target("/x") + `,"handshake":"` + hookSecret + `"}`, target("/refuses") + `,"handshake":"websub"}`,
		target("/x") + strings.Repeat(" ", 64<<10) + "}", strings.Replace(target("/x"), "p1", "p2", 1) + "}",
	} {
		l.request("POST", "/subscriptions", body)
	}
	for _, resource := range []string{"status", "text", "header", "moved", "protocol"} {
		l.request("POST", "/subscriptions", strings.Replace(target("/x"), `"good"`, quoted(resource), 1)+"}")
		l.request("GET", "/resources/"+resource, "")
	}
	l.make("/subscriptions/"+id+"/secret", "", http.StatusOK)
	shaken := l.make("/subscriptions", strings.Replace(target("/shakes"), own, `,"handshake":"x-hook-secret"`, 1)+"}", http.StatusCreated)
	var shook []string
	for _, request := range hook.seen() {
		shook = append(shook, headerValues(request, "X-Hook-Secret")...)
	}
	if len(shook) != 1 {
		t.Fatalf("the handshake's secrets are %q", shook)
	}
	l.secrets = append(l.secrets, shook...)
	l.make("/subscriptions", target("/status")+"}", http.StatusCreated)
	l.make("/subscriptions", target("/protocol")+"}", http.StatusCreated)
	l.request("PATCH", "/subscriptions/"+id, `{"headers":{"Authorization":"Bearer `+headerSecret+`"},"ordered":true}`)
	l.request("POST", "/subscriptions/"+shaken+"/test", "")
	for _, path := range []string{"/subscriptions", "/subscriptions/" + id, "/subscriptions/" + shaken, "/event_types", "/openapi.json"} {
		l.request("GET", path, "")
	}
}

// publish has what was kept used.
func (l *leaks) publish(t *testing.T, hook *upstream) {
	hook.seen()
	l.request("POST", "/events", `{"type":"task.create","resource_id":"p1","data":{}}`)
	var seen string
	eventually(t, "a request to each subscriber", func() bool {
		seen += strings.Join(hook.seen(), "\n")
		return strings.Contains(seen, "POST /good ") && strings.Contains(seen, "POST /status ") && strings.Contains(seen, "POST /protocol ") && strings.Contains(seen, "POST /shakes ")
	})
	if !strings.Contains(seen, "Authorization: Bearer "+headerSecret) {
		t.Errorf("the subscribers got %q, so nothing was tested", seen)
	}
	for _, id := range regexp.MustCompile(`sub_\w+`).FindAllString(l.do("GET", "/subscriptions", "").body, -1) {
		eventually(t, "an attempt", func() bool {
			return strings.Contains(l.do("GET", "/subscriptions/"+id+"/deliveries", "").body, `"last_attempt":{`)
		})
		listed := l.request("GET", "/subscriptions/"+id+"/deliveries", "")
		l.request("GET", "/deliveries/"+regexp.MustCompile(`dlv_\d+|$`).FindString(listed), "")
	}
}

// appOf tells what it was asked with, in ways that fail, but for the path /good.
func appOf(secret string) func(*http.Request, net.Conn) {
	const ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	kinds := map[string]string{
		"/good": ok + "X-Echo: %s\r\n\r\n[{\"id\":\"p1\",\"value\":\"Website\"}]", "/status": "HTTP/1.1 500 %s\r\nConnection: close\r\n\r\n%s",
		"/text": ok + "\r\n%s", "/header": ok + "%s\r\n\r\n[]", "/moved": "HTTP/1.1 302 Found\r\nLocation: https://x.invalid/%s\r\nConnection: close\r\n\r\n",
		"/protocol": "%s\r\n\r\n",
	}
	return func(r *http.Request, conn net.Conn) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			secret = "" // then nothing is tested, which is noticed
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(kinds[r.URL.Path], "%s", secret))
	}
}

// subscriberOf is a subscriber that tells the secret wherever it can.
func subscriberOf(secret string) func(*http.Request, net.Conn) {
	return func(r *http.Request, conn net.Conn) {
		answer := "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + secret
		switch r.URL.Path {
		case "/status":
			answer = "HTTP/1.1 500 " + secret + "\r\nX-Echo: " + secret + "\r\nConnection: close\r\n\r\n"
		case "/protocol":
			answer = secret + "\r\n\r\n"
		case "/shakes":
			answer = "HTTP/1.1 200 OK\r\nX-Hook-Secret: " + r.Header.Get("X-Hook-Secret") + "\r\nConnection: close\r\n\r\n"
		}
		_, _ = io.WriteString(conn, answer)
	}
}

// everythingIn returns the bytes of an SQLite database's files, or the rows of
// all tables.
func everythingIn(t *testing.T, database string) string {
	t.Helper()
	var found strings.Builder
	if path, ok := strings.CutPrefix(database, "database sqlite "); ok {
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) < 2 { // with its log
			t.Fatalf("%q, %v", files, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found.Write(content)
		}
		return found.String()
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv("EDGE_DATABASE"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tables, err := conn.Query(ctx, "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(tables, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		rows, err := conn.Query(ctx, "SELECT t::text FROM "+pgx.Identifier{name}.Sanitize()+" AS t")
		if err != nil {
			t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		found.WriteString(strings.Join(texts, "\n"))
	}
	return found.String()
}
