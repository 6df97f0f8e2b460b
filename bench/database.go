package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// The databases that rows are measured on.
const (
	onSQLite   = "SQLite"
	onPostgres = "PostgreSQL"
)

var databases = [...]string{onSQLite, onPostgres}

// database is an empty one: a file in Caddy's directory, or one on a server.
// Both are durable, as users have them.
type database struct{ dsn string }

// server is the PostgreSQL of all rows, nil until one needs it.
var server *pgtest.Server

// openDatabase returns a new database of a kind.
func openDatabase(kind string) (database, error) {
	if kind != onPostgres {
		return database{}, nil
	}
	if dsn := os.Getenv(dsnVariable); dsn != "" { // of the process that started this one
		return database{dsn}, nil
	}
	if server == nil {
		started, err := pgtest.Open()
		if err != nil {
			return database{}, err
		}
		server = started
	}
	dsn, err := server.NewDatabase()
	return database{dsn}, err
}

func closeServer() {
	if server != nil {
		server.Close()
	}
}

// isLeftOut reports whether a row cannot be measured on this machine.
func isLeftOut(err error) bool { return errors.Is(err, pgtest.ErrNotInstalled) }

// addTo has the config of the connector app use the database.
func (d database) addTo(app object, dir string) object {
	app["database"] = object{"driver": "sqlite", "path": filepath.Join(dir, "connector.db")}
	if d.dsn != "" {
		app["database"] = object{"driver": "postgres", "dsn": d.dsn}
		app["encryption_keys"] = []string{datastore.NewKey()}
	}
	return app
}

// running returns the database of the Caddy that runs.
func running() (*datastore.DB, error) {
	app, err := caddy.ActiveContext().App("connector")
	if err != nil {
		return nil, err
	}
	return app.(*datastore.App).Database()
}

// countPending returns how many deliveries are still to be sent, or to be stored
// as sent.
func countPending() (pending int, err error) {
	db, err := running()
	if err != nil {
		return 0, err
	}
	err = db.QueryRow(context.Background(), `SELECT
		(SELECT count(*) FROM connector_deliveries WHERE state = 0 AND node IS NULL) +
		(SELECT count(*) FROM connector_deliveries WHERE state = 0 AND node IS NOT NULL)`).Scan(&pending)
	return pending, err
}

const settleTimeout = time.Minute

// settle waits until everything is sent, so that it doesn't take CPU from what
// is measured next.
func settle() error {
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(5 * time.Millisecond) {
		pending, err := countPending()
		if err != nil || pending == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d deliveries are still pending after %v", pending, settleTimeout)
		}
	}
}
