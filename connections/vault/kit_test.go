package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// database is where the stores of a test keep what they keep.
type database struct {
	*testing.T
	path  string // of SQLite's file; "": PostgreSQL
	dsn   string
	keys  string
	count int
}

func eachDatabase(t *testing.T, test func(d *database)) {
	t.Run("sqlite", func(t *testing.T) { test(inFile(t)) })
	t.Run("postgres", func(t *testing.T) { test(onServer(t)) })
}

func inFile(t *testing.T) *database {
	return &database{T: t, path: filepath.Join(t.TempDir(), "connector.db"), keys: datastore.NewKey()}
}

func onServer(t *testing.T) *database {
	return &database{T: t, dsn: pgtest.Start(t), keys: datastore.NewKey()}
}

// node is a store as a process has it: on PostgreSQL each has connections of its
// own.
type node struct {
	*Store
	*database
	app   *datastore.App
	name  string // that it tells the server
	logs  *observer.ObservedLogs
	ended atomic.Bool
}

var variables atomic.Int64

// inEnvironment returns a placeholder.
func inEnvironment(value string) string {
	name := fmt.Sprintf("VAULT_TEST_%d", variables.Add(1))
	os.Setenv(name, value)
	return "{env." + name + "}"
}

// node starts one. On SQLite there can be one at a time.
func (d *database) node() *node {
	d.Helper()
	d.count++
	name := fmt.Sprint("node", d.count)
	config := datastore.DatabaseConfig{Driver: datastore.SQLite, Path: d.path}
	if d.path == "" {
		config = datastore.DatabaseConfig{Driver: datastore.PostgreSQL, DSN: inEnvironment(d.dsn + "&application_name=" + name)}
	}
	n := d.provisioned(config)
	n.name = name
	if err := n.app.Start(); err != nil {
		d.Fatal(err)
	}
	if d.path == "" {
		eventually(d, "a node that listens", func() bool { return n.cache.verified.Load() != 0 })
	}
	return n
}

func (d *database) provisioned(config datastore.DatabaseConfig) *node {
	d.Helper()
	core, logs := observer.New(zap.DebugLevel)
	n := &node{database: d, logs: logs, app: &datastore.App{DatabaseConfig: config, EncryptionKeys: []string{inEnvironment(d.keys)}}}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	d.Cleanup(cancel)
	if err := n.app.Provision(ctx); err != nil {
		d.Fatal(err)
	}
	var err error
	if n.Store, err = open(n.app, zap.New(core)); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(n.end)
	return n
}

// end is what Caddy does to a config that is replaced.
func (n *node) end() {
	n.Helper()
	if n.ended.Swap(true) {
		return
	}
	if err := errors.Join(n.app.Stop(), n.Close(), n.app.Cleanup()); err != nil {
		n.Error(err)
	}
}

// create makes a connection of an owner's to zendesk.
func (n *node) create(owner, name string, secrets ...string) *Connection {
	n.Helper()
	made := New{Owner: owner, API: "zendesk", Name: name, Variables: map[string]string{"subdomain": "acme"}}
	for _, text := range secrets {
		made.Secrets = append(made.Secrets, []byte(text))
	}
	c, err := n.Create(n.Context(), made, 0)
	if err != nil {
		n.Fatal(err)
	}
	return c
}

// find is Find of what must be there.
func (n *node) find(id string) *Connection {
	n.Helper()
	c, err := n.Find(n.Context(), id)
	if err != nil {
		n.Fatal(err)
	}
	return c
}

// exec changes the database past the store.
func (n *node) exec(statement string, args ...any) {
	n.Helper()
	err := n.db.Write(n.Context(), func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	})
	if err != nil {
		n.Fatal(err)
	}
}

func (n *node) logged() string {
	var all strings.Builder
	for _, entry := range n.logs.All() {
		fmt.Fprintln(&all, entry.Level, entry.Message, entry.ContextMap())
	}
	return all.String()
}

// reads counts how often connections were read from a database meanwhile.
func reads(f func()) int {
	before := testutil.ToFloat64(readsTotal)
	f()
	return int(testutil.ToFloat64(readsTotal) - before)
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// is checks which error something has returned.
func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func pointer[T any](value T) *T { return &value }
