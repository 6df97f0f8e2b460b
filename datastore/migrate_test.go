package datastore

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/internal/pgtest"
	"github.com/f737063d/caddy-connector/internal/secret"
)

// withFeature registers a feature for one test. Its migrations, the same for
// both databases, get the versions 1, 2 ….
func withFeature(t *testing.T, name string, migrations ...string) {
	t.Helper()
	before := slices.Clone(features)
	features = slices.DeleteFunc(slices.Clone(features), func(f Feature) bool { return f.Name == name })
	files := make(fstest.MapFS)
	for i, statement := range migrations {
		files["0000"+string(rune('1'+i))+"_step.sql"] = sqlFile(statement)
	}
	Register(Feature{Name: name, SQLite: files, PostgreSQL: files})
	t.Cleanup(func() { features = before })
}

func TestMigrateUpgrade(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		keys := testKeys()
		create, alter := "CREATE TABLE notes (id INTEGER PRIMARY KEY)", "ALTER TABLE notes ADD COLUMN text TEXT DEFAULT 'added'"
		withFeature(t, "notes", create)
		f := run(t, config, keys)
		if err := f.db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO notes (id) VALUES (1)")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		f.end(t)

		for range 2 { // the second has nothing to do
			withFeature(t, "notes", create, alter)
			f = run(t, config, keys)
			var text string
			if err := f.db.QueryRow(t.Context(), "SELECT text FROM notes WHERE id = 1").Scan(&text); err != nil || text != "added" {
				t.Errorf("%q, %v", text, err)
			}
			f.end(t)
		}

		// an older program refuses it, and other features' migrations don't run
		withFeature(t, "notes", create)
		withFeature(t, "another", "CREATE TABLE another (id INTEGER)")
		f, err := load(t, config, keys)
		if err != nil {
			t.Fatal(err)
		}
		err = f.Start()
		if config.Driver == PostgreSQL {
			if err != nil {
				t.Fatal(err)
			}
			err = f.db.Ready()
			if logged := f.logged(); !strings.Contains(logged, "error the database cannot be used") {
				t.Errorf("logged: %s", logged)
			}
		} else if !strings.Contains(err.Error(), config.Path) {
			t.Errorf("the path is missing in: %v", err)
		}
		if err == nil || !strings.Contains(err.Error(), "the tables of notes have version 2, but this program knows versions up to 1") {
			t.Fatalf("got %v", err)
		}
		f.end(t)

		withFeature(t, "notes", create, alter)
		withFeature(t, "another") // not there
		features = slices.DeleteFunc(features, func(f Feature) bool { return f.Name == "another" })
		f = run(t, config, keys)
		if err := f.db.QueryRow(t.Context(), "SELECT count(*) FROM another").Scan(new(int)); err == nil {
			t.Error("the refused start left a table")
		}
		if err := f.db.QueryRow(t.Context(), "SELECT count(*) FROM connector_schema_another").Scan(new(int)); err == nil {
			t.Error("the refused start left a version table")
		}
	})
}

// A migration that fails leaves nothing, not even of other features.
func TestMigrateFails(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		keys := testKeys()
		withFeature(t, "aaa", "CREATE TABLE aaa (id INTEGER)")
		withFeature(t, "zzz", "CREATE TABLE zzz (id INTEGER)", "CREATE TABLE aaa (id INTEGER)")
		f, err := load(t, config, keys)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Start(), f.db.Ready()); !strings.Contains(err.Error(), "aaa") || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("got %v", err)
		}
		f.end(t)

		withFeature(t, "aaa", "CREATE TABLE aaa (id INTEGER)")
		withFeature(t, "zzz", "CREATE TABLE zzz (id INTEGER)")
		f = run(t, config, keys)
		if err := f.db.Ready(); err != nil {
			t.Errorf("after the program is mended: %v", err)
		}
	})
}

// Two nodes, or two processes with one file, that start at once.
func TestMigrateTogether(t *testing.T) {
	file := inFile(t).Path
	dsn := pgtest.Start(t)
	for name, open := range map[string]func() engine{
		"sqlite": func() engine { return &sqlite{path: file} },
		"postgres": func() engine {
			p, err := newPostgres(secret.Value{}.Map(func(string) string { return dsn }))
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					e := open()
					defer e.close(0)
					if err := e.open(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	}
}

// A start waits for one that migrates already.
func TestMigrateWaits(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		f := run(t, config, testKeys())
		holder, err := f.db.store.reader().Conn(t.Context())
		lock := "SELECT pg_advisory_lock(" + strconv.Itoa(migrationLock) + ")"
		if s, ok := f.db.store.engine.(*sqlite); ok {
			lock = "BEGIN IMMEDIATE"
			holder, err = s.writer.Conn(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.ExecContext(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
		opened := make(chan error, 1)
		go func() {
			settings, err := config.provision(zap.NewNop())
			if err != nil {
				opened <- err
				return
			}
			second, err := settings.newStore()
			if err != nil {
				opened <- err
				return
			}
			opened <- second.(*store).open(context.Background())
			_ = second.Destruct()
		}()
		select {
		case err := <-opened:
			t.Errorf("it did not wait: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		if err := holder.Raw(func(any) error { return driver.ErrBadConn }); err == nil { // which unlocks
			t.Fatal(err)
		}
		if err := <-opened; err != nil {
			t.Error(err)
		}
	})
}

func TestRegister(t *testing.T) {
	some := fs.FS(fstest.MapFS{})
	for wantErr, feature := range map[string]Feature{
		"malformed":                        {Name: "Not this"},
		"registered already":               {Name: "test"},
		"migrations for one database only": {Name: "half", SQLite: some},
	} {
		if err := register(feature); err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%+v: %v", feature, err)
		}
	}
}
