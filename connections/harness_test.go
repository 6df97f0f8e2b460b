package connections

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/f737063d/caddy-connector/datastore/datastoretest"
	"github.com/f737063d/caddy-connector/internal/pgtest"
	"github.com/f737063d/caddy-connector/internal/porttest"
)

// childConfig names the config, as JSON, that makes this binary a Caddy that runs
// until it is killed.
const childConfig = "CONNECTIONS_TEST_CONFIG"

func TestMain(m *testing.M) {
	if path := os.Getenv(childConfig); path != "" {
		recordEvents(path + ".events")
		caddy.TrapSignals()
		config, err := os.ReadFile(path)
		if err == nil {
			err = caddy.Load(config, true)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(pgtest.Main(m))
}

var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// edge is the Caddy under test. Caddy is a singleton of its process, so tests are
// parallel only if all of their Caddys are in other processes.
type edge struct {
	t       testing.TB
	addr    string
	admin   string
	log     string
	logged  string // what more there is to say of it
	storage string
	options string // of the app connector: its database
	egress  string // and more of its egress
}

// eachDatabase runs a test on an edge with each kind of database.
func eachDatabase(t *testing.T, test func(t *testing.T, e *edge)) {
	t.Run("sqlite", func(t *testing.T) { test(t, prepare(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, onServer(t)) })
}

// onServer prepares an edge with a database that others can share.
func onServer(t testing.TB) *edge {
	t.Helper()
	e := prepare(t)
	e.options = "database postgres " + pgtest.Start(t) + "\nencryption_keys MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	return e
}

func prepare(t testing.TB) *edge {
	t.Helper()
	dir := t.TempDir()
	return &edge{
		t: t, admin: freeAddr(t), log: filepath.Join(dir, "log"), storage: dir,
		options: "database sqlite " + filepath.Join(dir, "connector.db"),
	}
}

// start runs Caddy with a handler on a new SQLite database, until the test ends.
func start(t *testing.T, connections string) *edge {
	t.Helper()
	e := prepare(t)
	e.start(connections)
	return e
}

func (e *edge) start(connections string) {
	e.t.Helper()
	e.load(connections)
	e.t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			e.t.Errorf("stopping caddy: %v", err)
		}
	})
}

// load replaces the config, and serves it at another address.
func (e *edge) load(connections string) {
	e.t.Helper()
	if err := caddy.Load(e.config(connections), true); err != nil {
		e.t.Fatal(err)
	}
	datastoretest.AwaitRunning(e.t)
}

// config has a handler at a new address.
func (e *edge) config(connections string) []byte {
	e.t.Helper()
	e.addr = freeAddr(e.t)
	config, err := adapt(fmt.Sprintf(`{
	admin %s
	persist_config off
	storage file_system %s
	auto_https off
	log default {
		output file %s
		level DEBUG
		%s
	}
	connector {
		%s
		egress {
			allow 127.0.0.1
			%s
		}
	}
}
http://%s {
	log
	route {
		connections {
			user {http.request.header.X-User}
			%s
		}
		respond "next" 299
	}
}
`, e.admin, e.storage, e.log, e.logged, e.options, e.egress, e.addr, connections))
	if err != nil {
		e.t.Fatal(err)
	}
	return config
}

func adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	return config, err
}

func freeAddr(t testing.TB) string {
	t.Helper()
	return porttest.Free(t, porttest.Connections)
}

// reply is what the edge answered.
type reply struct {
	*http.Response
	text string
	body map[string]any // if it is an object
}

// do sends a request of a user's, if there is one. Header lines are added to it.
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
	if len(body) > 64<<10 { // so that an answer to the header alone gets here, and no reset
		request.Header.Set("Expect", "100-continue")
	}
	for _, line := range header { // they replace what is there
		name, _, _ := strings.Cut(line, ": ")
		request.Header.Del(name)
	}
	for _, line := range header {
		if name, value, _ := strings.Cut(line, ": "); value != "" {
			request.Header.Add(name, value)
		}
	}
	got := e.send(request)
	hold(e.t, got, body)
	return got
}

func (e *edge) send(request *http.Request) reply {
	e.t.Helper()
	res, err := client.Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return decoded(reply{Response: res, text: string(text)})
}

func decoded(got reply) reply {
	_ = json.Unmarshal([]byte(got.text), &got.body)
	return got
}

// is checks an answer's status and, for errors, its code.
func (r reply) is(t testing.TB, status int, code string) {
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

const connect = "/api/connect/v1/connectors/"

// connected makes a connection of a user's to an API.
func (e *edge) connected(user, api, body string) (id string) {
	e.t.Helper()
	got := e.do(user, "POST", connect+api+"/connections", body)
	got.is(e.t, http.StatusCreated, "")
	return got.id()
}

// call sends a request of a user's through the proxy.
func (e *edge) call(user, method, connection, rest, body string, header ...string) reply {
	e.t.Helper()
	return e.do(user, method, "/api/proxy/v1/"+connection+rest, body, header...)
}

func (e *edge) logs() string {
	e.t.Helper()
	text, err := os.ReadFile(e.log)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(text)
}

// api is a third-party API that keeps what it is asked.
type api struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []asked
	answer http.HandlerFunc // nil: 200 and `{}`
}

// asked is a request that an API has got.
type asked struct {
	*http.Request
	body string
	cut  error // why there is no more of it
}

func newAPI(t testing.TB, answer http.HandlerFunc) *api {
	a := &api{answer: answer}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		a.mu.Lock()
		a.asked = append(a.asked, asked{r, string(body), err})
		answer := a.answer
		a.mu.Unlock()
		if answer == nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
			return
		}
		answer(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// seen returns what it was asked since the last call.
func (a *api) seen() []asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.asked
	a.asked = nil
	return seen
}

// one returns the one request that it was asked since the last call.
func (a *api) one(t *testing.T) asked {
	t.Helper()
	seen := a.seen()
	if len(seen) != 1 {
		t.Fatalf("the API was asked %d times", len(seen))
	}
	return seen[0]
}
