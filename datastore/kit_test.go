package datastore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

func init() {
	caddy.DefaultStorage.Path = "" // nothing here may use it
	backoff.first, backoff.last = 20*time.Millisecond, 100*time.Millisecond
	firstAttempt = time.Minute // a machine with other work is slow
	Register(Feature{
		Name:       "test",
		SQLite:     fstest.MapFS{"00001_rows.sql": sqlFile("CREATE TABLE test_rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")},
		PostgreSQL: fstest.MapFS{"00001_rows.sql": sqlFile("CREATE TABLE test_rows (id bigint PRIMARY KEY, text text NOT NULL)")},
		Reencrypt:  func(ctx context.Context, db *DB, ring *KeyRing) (int, error) { return reencryptRows(ctx, db, ring) },
	})
}

func sqlFile(statements ...string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + strings.Join(statements, ";\n") + ";\n")}
}

func TestMain(m *testing.M) {
	if job := os.Getenv("DATASTORE_TEST_CHILD"); job != "" {
		child(job)
		return
	}
	os.Exit(pgtest.Main(m))
}

// testKeys are encryption_keys for tests; each call gives others.
func testKeys() string { return NewKey() }

// fixture is an app and what it logs.
type fixture struct {
	*App
	logs  *observer.ObservedLogs
	ended atomic.Bool
}

// load provisions an app, as a config with a handler that needs the database.
func load(t testing.TB, config DatabaseConfig, keys ...string) (*fixture, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	core, logs := observer.New(zapcore.DebugLevel)
	config.DSN = inEnvironment(config.DSN)
	for i, key := range keys {
		keys[i] = inEnvironment(key)
	}
	f := &fixture{App: &App{DatabaseConfig: config, EncryptionKeys: keys}, logs: logs}
	t.Cleanup(func() {
		f.end(t)
		cancel()
	})
	if err := f.Provision(ctx); err != nil {
		return f, err
	}
	f.logger = zap.New(core)
	_, err := f.Database()
	return f, err
}

// inEnvironment returns a placeholder for a secret, unless it is one.
func inEnvironment(text string) string {
	if text == "" || strings.HasPrefix(text, "{") {
		return text
	}
	name := fmt.Sprintf("DATASTORE_TEST_SECRET_%d", secrets.Add(1))
	os.Setenv(name, text)
	return "{env." + name + "}"
}

var secrets atomic.Int64

// run is load and Start.
func run(t testing.TB, config DatabaseConfig, keys ...string) *fixture {
	t.Helper()
	f, err := load(t, config, keys...)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	return f
}

// end is what Caddy does to a config that is replaced.
func (f *fixture) end(t testing.TB) {
	t.Helper()
	if f.ended.Swap(true) {
		return
	}
	if err := errors.Join(f.Stop(), f.Cleanup()); err != nil {
		t.Error(err)
	}
}

func (f *fixture) logged() string {
	var all strings.Builder
	for _, entry := range f.logs.All() {
		fmt.Fprintln(&all, entry.Level, entry.Message, entry.ContextMap())
	}
	return all.String()
}

func inFile(t testing.TB) DatabaseConfig {
	t.Helper()
	return DatabaseConfig{Driver: SQLite, Path: filepath.Join(t.TempDir(), "sub", "test.db")}
}

// bothDatabases runs a test against an SQLite and a PostgreSQL database.
func bothDatabases(t *testing.T, test func(t *testing.T, config DatabaseConfig)) {
	t.Run("sqlite", func(t *testing.T) { test(t, inFile(t)) })
	t.Run("postgres", func(t *testing.T) {
		test(t, DatabaseConfig{Driver: PostgreSQL, DSN: pgtest.Start(t)})
	})
}

func insert(ctx context.Context, db *DB, id int64, text string) error {
	return db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES ($1, $2)", id, text)
		return err
	})
}

func count(t testing.TB, db *DB) (n int) {
	t.Helper()
	if err := db.QueryRow(context.Background(), "SELECT count(*) FROM test_rows").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func reencryptRows(ctx context.Context, db *DB, ring *KeyRing) (n int, err error) {
	rows, err := db.Query(ctx, "SELECT id, text FROM test_rows")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	sealed := make(map[int64]string)
	for rows.Next() {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return 0, err
		}
		if strings.HasPrefix(text, sealedPrefix) && !ring.Current(unhex(text)) {
			sealed[id] = text
		}
	}
	for id, text := range sealed {
		plain, err := ring.Open(unhex(text), rowPlace(id))
		if err != nil {
			return n, err
		}
		if err := db.Write(ctx, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Exec(ctx, "UPDATE test_rows SET text = $2 WHERE id = $1", id, sealedPrefix+fmt.Sprintf("%x", ring.Seal(plain, rowPlace(id))))
			return err
		}); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

const sealedPrefix = "sealed:"

func rowPlace(id int64) []byte { return fmt.Appendf(nil, "test_rows\x00%d", id) }

func unhex(text string) (plain []byte) {
	_, _ = fmt.Sscanf(strings.TrimPrefix(text, sealedPrefix), "%x", &plain)
	return plain
}

// startAlone is run without a test.
func startAlone(app *App) error {
	ctx, _ := caddy.NewContext(caddy.Context{Context: context.Background()})
	if err := app.Provision(ctx); err != nil {
		return err
	}
	app.logger = zap.NewNop()
	if _, err := app.Database(); err != nil {
		return err
	}
	return app.Start()
}
