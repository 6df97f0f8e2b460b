package subscriptions

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/datastore/datastoretest"
	"github.com/f737063d/caddy-connector/internal/porttest"
)

// site is what most tests run: users say who they are.
const site = `route {
	subscriptions {
		user {http.request.header.X-User}
		event_types task.create task.update task.delete project.archive
		resource project {
			public
		}
		resource task {
			public
		}
		max_per_owner 5
		allow_http
	}
	publish_events {
		user {http.request.header.X-User}
		max_events 3
		max_data 64
	}
	respond "next" 299
}`

const target = "https://hooks.example.com/in"

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// edge is the Caddy under test. Caddy is a singleton of its process, so no test
// is parallel.
type edge struct {
	t       *testing.T
	addr    string
	admin   string
	log     string
	path    string // of the database
	storage string
	opens   string // what egress allows; "" for 127.0.0.1
}

// start runs Caddy with a site on a new database, until the test ends.
func start(t *testing.T, site string) *edge {
	t.Helper()
	dir := t.TempDir()
	e := &edge{t: t, admin: freeAddr(t), log: filepath.Join(dir, "log"), path: filepath.Join(dir, "connector.db"), storage: dir}
	e.load("", site)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping caddy: %v", err)
		}
	})
	return e
}

// load replaces the config, and serves it at another address: a client of the
// old one may meet the old server once more, or have its connection reset.
// Options are of the connector's; a database among them replaces the test's own.
func (e *edge) load(options, site string) {
	e.t.Helper()
	e.addr = freeAddr(e.t)
	e.reload(options, site)
	datastoretest.AwaitRunning(e.t)
}

// reload is load at the same address, whether the database is there or not.
func (e *edge) reload(options, site string) {
	e.t.Helper()
	if !strings.Contains(options, "database ") {
		options += "\n\t\tdatabase sqlite " + e.path
	}
	config, err := adapt(fmt.Sprintf(`{
	admin %s
	persist_config off
	storage file_system %s
	auto_https off
	log default {
		output file %s
		level DEBUG
	}
	connector {
		%s
		egress {
			allow %s
		}
	}
}
http://%s {
	%s
}
`, e.admin, e.storage, e.log, options, cmp.Or(e.opens, "127.0.0.1/32"), e.addr, site))
	if err != nil {
		e.t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		e.t.Fatal(err)
	}
}

func adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	return config, err
}

func freeAddr(t *testing.T) string {
	t.Helper()
	return porttest.Free(t, porttest.Subscriptions)
}

// reply is what the edge answered.
type reply struct {
	*http.Response
	text string
	body map[string]any // if it is an object
}

// do sends a request of a user's, if there is one, with JSON, if there is a body.
func (e *edge) do(user, method, path, body string, header ...string) reply {
	e.t.Helper()
	request, err := http.NewRequest(method, "http://"+e.addr+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	if user != "" {
		request.Header.Set("X-User", user)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Del(name)
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	res, err := client.Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	got := reply{Response: res, text: string(text)}
	_ = json.Unmarshal(text, &got.body)
	hold(e.t, got, body)
	return got
}

// is checks an answer's status and, for errors, its code.
func (r reply) is(t *testing.T, status int, code string) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("status %d, want %d %s: %s", r.StatusCode, status, code, r.text)
	}
	if code == "" {
		return
	}
	if r.body["code"] != code || r.Header.Get("Content-Type") != "application/problem+json" ||
		!strings.HasPrefix(r.Header.Get("Proxy-Status"), "caddy-connector; error=") {
		t.Fatalf("answer %v %s, want code %s", r.Header, r.text, code)
	}
}

// id returns the id in an answer.
func (r reply) id() string { id, _ := r.body["id"].(string); return id }

// time returns a time in an answer.
func (r reply) time(name string) time.Time {
	at, _ := time.Parse(time.RFC3339, r.body[name].(string))
	return at
}

// members is a JSON object of names and values in pairs.
func members(pairs ...any) string {
	made := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		made[pairs[i].(string)] = pairs[i+1]
	}
	encoded, _ := json.Marshal(made)
	return string(encoded)
}

// subscribe makes a subscription of a user's to all events of a project.
func (e *edge) subscribe(user, resource string, pairs ...any) reply {
	e.t.Helper()
	pairs = append([]any{"target_url", target, "resource_type", "project", "resource_id", resource, "events", []string{"*"}}, pairs...)
	got := e.do(user, "POST", "/subscriptions", members(pairs...))
	got.is(e.t, http.StatusCreated, "")
	return got
}

// rows asks the database file, past the edge, and returns the rows as text.
func (e *edge) rows(query string, args ...any) (rows []string) {
	e.t.Helper()
	db, err := sql.Open("sqlite", "file:"+e.path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		e.t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(query, args...)
	if err != nil {
		e.t.Fatal(err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		e.t.Fatal(err)
	}
	for found.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = &sql.NullString{}
		}
		if err := found.Scan(values...); err != nil {
			e.t.Fatal(err)
		}
		var row []string
		for _, value := range values {
			row = append(row, value.(*sql.NullString).String)
		}
		rows = append(rows, strings.Join(row, "|"))
	}
	if err := found.Err(); err != nil {
		e.t.Fatal(err)
	}
	return rows
}

// exec changes the database file past the edge.
func (e *edge) exec(query string, args ...any) {
	e.t.Helper()
	db, err := sql.Open("sqlite", "file:"+e.path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		e.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		e.t.Fatal(err)
	}
}

// db returns the running config's database.
func (e *edge) db() *datastore.DB {
	e.t.Helper()
	app, err := caddy.ActiveContext().App("connector")
	if err != nil {
		e.t.Fatal(err)
	}
	db, err := app.(*datastore.App).Database()
	if err != nil {
		e.t.Fatal(err)
	}
	return db
}

func (e *edge) ring() *datastore.KeyRing {
	e.t.Helper()
	ring, err := e.db().KeyRing()
	if err != nil {
		e.t.Fatal(err)
	}
	return ring
}

// sealed returns the secrets of a subscription as the database has them.
func (e *edge) sealed(id string) (sealed []byte) {
	e.t.Helper()
	err := e.db().QueryRow(context.Background(), "SELECT sealed FROM connector_subscriptions WHERE id = $1", id).Scan(&sealed)
	if err != nil {
		e.t.Fatal(err)
	}
	return sealed
}

func (e *edge) logs() string {
	e.t.Helper()
	logs, err := os.ReadFile(e.log)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(logs)
}

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}
