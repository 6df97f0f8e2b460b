package datastore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// DB is the database, as the handlers of one config see it. It can be used once
// the app has started, and before that if the config before had it open. After
// the last config has ended it is ErrNotReady again.
type DB struct {
	store      *store
	poolKey    string
	path       string   // of the file, if it is one
	configured *KeyRing // nil: the key file

	ring    atomic.Pointer[KeyRing] // once it is known to fit
	problem atomic.Pointer[error]   // of the keys
}

// Dialect returns the kind of the database.
func (db *DB) Dialect() Dialect { return db.store.dialect() }

// Key tells databases apart: handlers of several configs that have the same one
// have the same database.
func (db *DB) Key() string { return db.poolKey }

// Ready returns nil if the database can be used, or ErrNotReady with the
// reason, which is for logs and operators. It is cheap.
func (db *DB) Ready() error {
	if err := db.store.ready(); err != nil {
		return notReady{err}
	}
	if db.ring.Load() != nil {
		return nil
	}
	last := db
	if started := db.store.last.Load(); started != nil { // what outlives its config goes by the next one
		last = started
	}
	switch problem := last.problem.Load(); {
	case last.ring.Load() != nil:
		return nil
	case problem != nil:
		return notReady{*problem}
	}
	return notReady{errNotStarted}
}

// KeyRing returns what secrets are sealed with before they are written: the keys
// of the config that was started last, also for what outlives the one before.
func (db *DB) KeyRing() (*KeyRing, error) {
	if err := db.Ready(); err != nil {
		return nil, err
	}
	if latest := db.store.ring.Load(); latest != nil {
		return latest, nil
	}
	return db.ring.Load(), nil
}

// Query reads rows. Placeholders are $1, $2 … with both databases.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := db.Ready(); err != nil {
		return nil, err
	}
	rows, err := db.store.query(ctx, query, args...)
	return rows, db.store.outcome(err)
}

// QueryRow reads one row.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *Row {
	rows, err := db.Query(ctx, query, args...)
	return &Row{rows, err, db.store.outcome}
}

// Now returns the time of the database's clock, in microseconds since 1970.
func (db *DB) Now(ctx context.Context) (now int64, err error) {
	err = db.QueryRow(ctx, nowQuery(db.Dialect())).Scan(&now)
	return now, err
}

// Write runs a function in a transaction and returns when that is durable: an
// error means that nothing of the function was written, unless the connection
// to a server was lost during the commit.
//
// On SQLite, functions of many callers share one transaction and one fsync. A
// function that fails is rolled back alone; if the commit fails, or a full disk
// ends the transaction, all of them fail. They run one at a time, so a function
// must not wait for anything else, nor leave constraints to the commit. A caller whose context ends before the
// function's turn leaves; after that, the function is carried out, with a
// context that does not end.
//
// On PostgreSQL each function has a transaction. It may be called again, when a
// transaction of somebody else got in the way.
func (db *DB) Write(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	if err := db.Ready(); err != nil {
		return err
	}
	if ctx.Value(inWrite{}) != nil {
		return errNested
	}
	var told settlements
	err := db.store.outcome(db.store.write(context.WithValue(ctx, inWrite{}, true), func(ctx context.Context, tx *Tx) error {
		told.settle(false) // of a transaction that was rolled back
		tx.db, tx.told = db, &told
		return f(ctx, tx)
	}))
	told.settle(err == nil)
	return err
}

// inWrite marks the context of a function that writes.
type inWrite struct{}

var errNested = errors.New("a Write inside the function of another Write would wait for itself")

// Postgres gives a function a connection of its own, which is closed after it:
// to LISTEN, above all. With SQLite it is an error.
func (db *DB) Postgres(ctx context.Context, f func(conn *pgx.Conn) error) error {
	if err := db.Ready(); err != nil {
		return err
	}
	p, ok := db.store.engine.(*postgres)
	if !ok {
		return errNoPostgres
	}
	return db.store.outcome(p.pgxConn(ctx, f))
}

func (db *DB) keyPath() string {
	if db.path == "" {
		return ""
	}
	return db.path + ".key"
}

// use has the handlers seal with a ring that fits.
func (db *DB) use(ring *KeyRing) {
	db.store.checked.Store(ring.fingerprint(), true)
	if db.configured == nil {
		db.store.fileRing.Store(ring)
	}
	db.ring.Store(ring)
	db.store.ring.Store(ring)
}

// useAtOnce does so if the config before did, so that a reload has no gap.
func (db *DB) useAtOnce() {
	ring := db.configured
	if ring == nil {
		ring = db.store.fileRing.Load()
	}
	if ring == nil {
		return
	}
	if _, ok := db.store.checked.Load(ring.fingerprint()); ok {
		db.ring.Store(ring)
	}
}

// start opens the database. Where that is a server which is away, it returns
// what is left to do in the background.
func (db *DB) start(ctx context.Context, logger *zap.Logger) (worker func(context.Context), err error) {
	if err := db.store.start(ctx, logger); err != nil {
		return nil, err
	}
	if db.Dialect() == SQLite {
		if err := db.checkKeys(ctx); err != nil {
			return nil, fmt.Errorf("database %s: %w", db.path, err)
		}
		db.store.last.Store(db)
		return nil, nil
	}
	defer db.store.last.Store(db)
	if db.store.ready() == nil {
		ctx, cancel := context.WithTimeout(ctx, firstAttempt)
		defer cancel()
		if db.tryKeys(ctx) == nil {
			return nil, nil
		}
	}
	return db.awaitKeys, nil
}

// awaitKeys checks the keys when the server is there.
func (db *DB) awaitKeys(ctx context.Context) {
	if db.store.waitUsable(ctx) != nil {
		return
	}
	for wait := backoff.first; ; wait = min(2*wait, backoff.last) {
		err := db.tryKeys(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if errors.As(err, new(keyError)) {
			wait = backoff.last
		}
		db.store.log().Error("the encryption keys cannot be used; trying again", zap.Error(err), zap.Duration("after", wait))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (db *DB) tryKeys(ctx context.Context) error {
	err := db.store.outcome(db.checkKeys(ctx))
	if err != nil {
		db.problem.Store(&err)
	}
	return err
}
