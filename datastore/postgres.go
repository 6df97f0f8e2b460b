package datastore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/f737063d/caddy-connector/internal/secret"
)

const (
	connectTimeout = 10 * time.Second // where the dsn has none
	maxConnections = 16               // where the dsn has no pool_max_conns
	writeAttempts  = 5                // of a transaction that others got in the way of
)

// postgres is a database on a server, which may be away.
type postgres struct {
	db      *sql.DB
	secrets []string // that no error may show
}

// newPostgres reads the dsn. Nothing is connected. Errors say nothing of it.
func newPostgres(dsn secret.Value) (*postgres, error) {
	config, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil { // its text may hold the password
		return nil, errors.New("the dsn of the database is malformed: " +
			"it must be such as postgres://user:password@host:5432/name or host=… user=… password=… dbname=…")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	connections := maxConnections
	if given, ok := config.RuntimeParams["pool_max_conns"]; ok { // not for the server
		delete(config.RuntimeParams, "pool_max_conns")
		if connections, err = strconv.Atoi(given); err != nil || connections < 2 {
			return nil, errors.New("pool_max_conns in the dsn of the database is not a number above 1")
		}
	}
	p := &postgres{db: stdlib.OpenDB(*config)}
	p.db.SetMaxOpenConns(connections)
	p.db.SetMaxIdleConns(connections)
	p.db.SetConnMaxLifetime(time.Hour)
	p.db.SetConnMaxIdleTime(30 * time.Minute)

	password := config.Password
	p.secrets = []string{dsn.Reveal(), password, url.QueryEscape(password), url.PathEscape(password)}
	if parsed, err := url.Parse(dsn.Reveal()); err == nil && parsed.User != nil {
		_, escaped, _ := strings.Cut(parsed.User.String(), ":")
		p.secrets = append(p.secrets, escaped)
	}
	return p, nil
}

func (*postgres) dialect() Dialect { return PostgreSQL }

// open brings the tables up to date. It is called again after every time that
// the server was away.
func (p *postgres) open(ctx context.Context) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return migrate(ctx, conn, PostgreSQL, features)
}

func (p *postgres) reader() *sql.DB { return p.db }

// query implements engine: the driver prepares statements by itself.
func (p *postgres) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(ctx, query, args...)
}

func (p *postgres) scrub(err error) error { return scrub(err, p.secrets) }

func (p *postgres) close(patience time.Duration) {
	for deadline := time.Now().Add(patience); p.db.Stats().InUse > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	_ = p.db.Close()
}

// write runs a transaction, again if another one got in its way.
func (p *postgres) write(ctx context.Context, f func(context.Context, *Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := p.writeOnce(ctx, f)
		if err == nil || attempt == writeAttempts || !inTheWay(err) {
			return err
		}
		pause := time.Duration(rand.Int64N(int64(5*time.Millisecond) << attempt)) //nolint:gosec // it is no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (p *postgres) writeOnce(ctx context.Context, f func(context.Context, *Tx) error) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// a context that ends in the middle of a COMMIT would leave open whether it
	// was carried out
	sqlTx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	tx := &Tx{dialect: PostgreSQL, on: sqlTx}
	defer func() { // also after a panic; after the commit this does nothing
		tx.end()
		_ = sqlTx.Rollback()
	}()
	err = f(ctx, tx)
	failed := tx.failed
	tx.end()
	if err != nil {
		if inTheWay(failed) {
			return failed // whatever the function made of it
		}
		return err
	}
	if failed != nil {
		return afterFailure(failed)
	}
	started := time.Now()
	if err := sqlTx.Commit(); err != nil {
		return commitError(err)
	}
	commitDuration.Observe(time.Since(started).Seconds())
	return nil
}

// inTheWay reports whether a transaction was given up because of another one.
func inTheWay(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	}
	return false
}

// away reports whether an error says that the server cannot be reached.
func (*postgres) away(err error) bool {
	if contextError(err) && !errors.As(err, new(*pgconn.ConnectError)) {
		return false // the caller went away
	}
	switch state := sqlState(err); {
	case state == "57P01", state == "57P02", state == "57P03", state == "53300", strings.HasPrefix(state, "08"):
		return true // it shuts down, crashed, starts, is full; connection errors
	case state != "" && !errors.As(err, new(*pgconn.ConnectError)):
		return false
	}
	return errors.As(err, new(*pgconn.ConnectError)) || connectionLost(err)
}

// refused reports whether trying again soon is of no use: somebody must change
// something.
func refused(err error) bool {
	state := sqlState(err)
	return errors.As(err, new(newerError)) || strings.HasPrefix(state, "28") || // invalid authorization
		state == "3D000" || state == "42501" // no such database, no privilege
}

func sqlState(err error) string {
	if found := new(pgconn.PgError); errors.As(err, &found) {
		return found.Code
	}
	return ""
}

// pgxConn gives a function a connection of its own.
func (p *postgres) pgxConn(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var outcome error
	_ = conn.Raw(func(raw any) error {
		outcome = f(raw.(*stdlib.Conn).Conn())
		return driver.ErrBadConn // nobody else gets a connection that listens
	})
	return outcome
}
