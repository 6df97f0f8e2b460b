package datastore

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

func statusOf(t *testing.T, err error) int {
	t.Helper()
	var api caddy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("not an APIError: %v", err)
	}
	return api.HTTPStatus
}

// `caddy validate` provisions and cleans up, but never starts.
func TestValidateTouchesNothing(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	connected := make(chan struct{})
	go func() {
		if conn, err := listener.Accept(); err == nil {
			conn.Close()
			close(connected)
		}
	}()
	file := inFile(t)
	for name, config := range map[string]DatabaseConfig{
		"default":  {},
		"file":     file,
		"postgres": {Driver: PostgreSQL, DSN: "postgres://user:password@" + listener.Addr().String() + "/db"},
	} {
		f, err := load(t, config, testKeys())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := f.db.Ready(); !errors.Is(err, ErrNotReady) {
			t.Errorf("%s: ready before Start: %v", name, err)
		}
		if err := insert(t.Context(), f.db, 1, "x"); !errors.Is(err, ErrNotReady) {
			t.Errorf("%s: written before Start: %v", name, err)
		}
		if err := f.db.QueryRow(t.Context(), "SELECT 1").Scan(new(int)); !errors.Is(err, ErrNotReady) {
			t.Errorf("%s: read before Start: %v", name, err)
		}
		f.end(t)
	}
	for _, dir := range []string{filepath.Join(caddy.AppDataDir(), "connector"), filepath.Dir(file.Path)} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	select {
	case <-connected:
		t.Error("a server was connected to")
	case <-time.After(50 * time.Millisecond):
	}
}

// A config whose handlers need no database has none.
func TestNotNeeded(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	config := inFile(t)
	app := &App{DatabaseConfig: config}
	if err := errors.Join(app.Provision(ctx), app.Start()); err != nil {
		t.Fatal(err)
	}
	if status, body := admin(t, http.MethodGet, "/connector/ready"); status != 200 || body != `{"ready":true}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := admin(t, http.MethodPost, "/connector/keys/rotate"); status != 404 {
		t.Errorf("rotate: %d", status)
	}
	if err := errors.Join(app.Stop(), app.Cleanup()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(config.Path)); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestDefaultPath(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	f := run(t, DatabaseConfig{})
	if want := filepath.Join(caddy.AppDataDir(), "connector", "connector.db"); f.db.path != want {
		t.Errorf("got %s, want %s", f.db.path, want)
	}
	if _, err := os.Stat(f.db.path); err != nil {
		t.Error(err)
	}
}

// At a reload, the new config is started before the old one ends, and requests
// of both are under way all the time.
func TestReload(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		keys := testKeys()
		first := run(t, config, keys)
		inFlight := first.db
		for range 3 {
			next, err := load(t, config, keys)
			if err != nil {
				t.Fatal(err)
			}
			if err := next.db.Ready(); err != nil {
				t.Errorf("a request before Start: %v", err)
			}
			if err := next.Start(); err != nil {
				t.Fatal(err)
			}
			if next.db.store != first.db.store {
				t.Error("the database was opened again")
			}
			first.end(t)
			for _, db := range []*DB{inFlight, next.db} {
				if err := db.QueryRow(t.Context(), "SELECT 1").Scan(new(int)); err != nil {
					t.Errorf("after the reload: %v", err)
				}
			}
			first = next
		}
		if n, _ := stores.References(first.db.poolKey); n != 1 {
			t.Errorf("%d references", n)
		}
		last := first.db
		first.end(t)
		if _, there := stores.References(last.poolKey); there || !errors.Is(last.Ready(), ErrNotReady) {
			t.Errorf("still open: %v", last.Ready())
		}
	})
}

// The key file's ring, too, is there before Start.
func TestReloadWithKeyFile(t *testing.T) {
	config := inFile(t)
	first := run(t, config)
	next, err := load(t, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.db.KeyRing(); err != nil {
		t.Error(err)
	}
	first.end(t)
}

func TestReloadToAnotherFile(t *testing.T) {
	first, second := run(t, inFile(t)), run(t, inFile(t))
	if err := insert(t.Context(), second.db, 1, "x"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, first.db); n != 0 {
		t.Error("the same database")
	}
	if running.latest() != second.db {
		t.Error("the admin endpoint has the old config")
	}
	first.end(t)
	if err := second.db.Ready(); err != nil || running.latest() != second.db {
		t.Errorf("%v", err)
	}
}

// A config whose Start fails, perhaps that of another app, leaves the running
// one in its place.
func TestReloadFails(t *testing.T) {
	first := run(t, inFile(t))
	next := run(t, inFile(t))
	next.end(t)
	if running.latest() != first.db {
		t.Error("the admin endpoint has lost the running config")
	}
}

func TestStartFails(t *testing.T) {
	damaged := inFile(t)
	f := run(t, damaged)
	for i := range int64(200) {
		if err := insert(t.Context(), f.db, i, strings.Repeat("x", 500)); err != nil {
			t.Fatal(err)
		}
	}
	f.end(t)
	if err := os.WriteFile(damaged.Path, []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	inTheWay := DatabaseConfig{Path: filepath.Join(damaged.Path, "test.db")}
	directory := DatabaseConfig{Path: t.TempDir()}
	for wantErr, config := range map[string]DatabaseConfig{
		"file is not a database": damaged,
		"not a directory":        inTheWay,
		"is a directory":         directory,
	} {
		f, err := load(t, config)
		if err != nil {
			t.Fatal(err)
		}
		err = f.Start()
		if err == nil || !strings.Contains(err.Error(), wantErr) || !strings.Contains(err.Error(), "database "+config.Path) {
			t.Errorf("%v, want %s", err, wantErr)
		}
		if !errors.Is(f.db.Ready(), ErrNotReady) {
			t.Errorf("%s: ready", wantErr)
		}
		f.end(t)
	}
}

func TestProvisionRefuses(t *testing.T) {
	t.Setenv("CONNECTOR_TEST_EMPTY", "")
	for name, tc := range map[string]struct {
		config  DatabaseConfig
		keys    []string
		wantErr string
	}{
		"unknown driver":       {DatabaseConfig{Driver: "mysql"}, nil, "'mysql' is neither sqlite nor postgres"},
		"dsn for sqlite":       {DatabaseConfig{DSN: "x"}, nil, "a dsn needs the driver postgres"},
		"path for postgres":    {DatabaseConfig{Driver: PostgreSQL, Path: "x"}, nil, "a path needs the driver sqlite"},
		"no dsn":               {DatabaseConfig{Driver: PostgreSQL}, nil, "empty secret"},
		"missing dsn":          {DatabaseConfig{Driver: PostgreSQL, DSN: "{env.CONNECTOR_TEST_EMPTY}"}, nil, "{env.CONNECTOR_TEST_EMPTY}"},
		"missing path":         {DatabaseConfig{Path: "{env.CONNECTOR_TEST_EMPTY}"}, nil, "{env.CONNECTOR_TEST_EMPTY}"},
		"missing key":          {DatabaseConfig{}, []string{"{env.CONNECTOR_TEST_EMPTY}"}, "encryption_keys: "},
		"malformed key":        {DatabaseConfig{}, []string{"x"}, "encryption_keys: key 1 is not 32 bytes"},
		"postgres without key": {DatabaseConfig{Driver: PostgreSQL, DSN: "postgres://u@h/d"}, nil, "needs encryption_keys"},
		"malformed dsn":        {DatabaseConfig{Driver: PostgreSQL, DSN: "postgres://u:hunter2@h:port/d"}, []string{NewKey()}, "the dsn of the database is malformed"},
		"another bad dsn":      {DatabaseConfig{Driver: PostgreSQL, DSN: "postgres://u:hunter2%zz@h/d"}, []string{NewKey()}, "the dsn of the database is malformed"},
		"few connections":      {DatabaseConfig{Driver: PostgreSQL, DSN: "postgres://u:hunter2@h/d?pool_max_conns=1"}, []string{NewKey()}, "pool_max_conns"},
	} {
		_, err := load(t, tc.config, tc.keys...)
		if err == nil || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", name, err, tc.wantErr)
		}
	}
}

func TestReadyEndpointAndMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collectors...)
	gauge := func() string {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "caddy_connector_database_ready" {
				return family.GetMetric()[0].GetLabel()[0].GetValue() + " " + family.GetMetric()[0].GetGauge().String()
			}
		}
		return "none"
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if got := gauge(); got != "none" {
		t.Errorf("gauge %s", got)
	}

	f := run(t, inFile(t))
	if status, body := admin(t, http.MethodGet, "/connector/ready"); status != 200 || body != `{"ready":true,"driver":"sqlite"}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
	if got := gauge(); got != "sqlite value:1" {
		t.Errorf("gauge %s", got)
	}
	if status, _ := admin(t, http.MethodPost, "/connector/ready"); status != 405 {
		t.Errorf("POST: %d", status)
	}
	if status, _ := admin(t, http.MethodGet, "/connector/keys/rotate"); status != 405 {
		t.Errorf("GET: %d", status)
	}
	f.end(t)

	server := pgtest.New(t)
	config := DatabaseConfig{Driver: PostgreSQL, DSN: server.Database(t)}
	server.Stop(t)
	run(t, config, testKeys())
	status, body := admin(t, http.MethodGet, "/connector/ready")
	if status != 503 || !strings.Contains(body, `{"ready":false,"driver":"postgres","reason":"the database is not ready: `) || strings.Contains(body, pgtest.Password) {
		t.Errorf("%d %s", status, body)
	}
	if got := gauge(); got != "postgres value:0" {
		t.Errorf("gauge %s", got)
	}
}
