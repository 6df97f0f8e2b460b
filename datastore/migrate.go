package datastore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
)

// migrationLock is the advisory lock of PostgreSQL under which migrations run.
const migrationLock = 0x63_6f_6e_6e_65_63_74 // "connect"

// newerError says that a program of a newer version has been at the database.
type newerError struct {
	feature       string
	found, newest int64
}

func (e newerError) Error() string {
	return fmt.Sprintf("the tables of %s have version %d, but this program knows versions up to %d only; "+
		"it was left as it is: run the newer program, or restore a backup", e.feature, e.found, e.newest)
}

// migrate brings the tables of all features up to date. All of it is one
// transaction, which nobody else can be in at the same time: after an error the
// database is as it was.
func migrate(ctx context.Context, conn *sql.Conn, dialect Dialect, features []Feature) error {
	begin := "BEGIN IMMEDIATE"
	if dialect == PostgreSQL {
		begin = "BEGIN"
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	if dialect == PostgreSQL {
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
			return errors.Join(err, rollback(ctx, conn))
		}
	}
	err := conn.Raw(func(raw any) error {
		db := sql.OpenDB(pinned{raw.(driver.Conn)})
		defer db.Close()
		db.SetMaxOpenConns(1)
		return migrateAll(ctx, db, dialect, features)
	})
	if err != nil {
		return errors.Join(err, rollback(ctx, conn))
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

func rollback(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return nil // it is gone, and the transaction with it
	}
	return err
}

func migrateAll(ctx context.Context, db *sql.DB, dialect Dialect, features []Feature) error {
	providers := make([]*goose.Provider, 0, len(features))
	for _, feature := range features {
		migrations := feature.migrations(dialect)
		if migrations == nil {
			continue
		}
		provider, err := goose.NewProvider(gooseDialect(dialect), db, migrations,
			goose.WithTableName(feature.versionTable()), goose.WithDisableGlobalRegistry(true))
		if err != nil {
			return fmt.Errorf("migrations of %s: %w", feature.Name, err)
		}
		found, newest, err := provider.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("reading which version the tables of %s have: %w", feature.Name, err)
		}
		if found > newest {
			return newerError{feature.Name, found, newest}
		}
		providers = append(providers, provider)
	}
	for _, provider := range providers {
		if _, err := provider.Up(ctx); err != nil {
			return fmt.Errorf("migrating: %w", err)
		}
	}
	return nil
}

func gooseDialect(dialect Dialect) goose.Dialect {
	if dialect == PostgreSQL {
		return goose.DialectPostgres
	}
	return goose.DialectSQLite3
}

// pinned connects to one connection, in which a transaction is under way: those
// that are begun on it become savepoints.
type pinned struct{ conn driver.Conn }

// Connect implements driver.Connector.
func (p pinned) Connect(context.Context) (driver.Conn, error) { return p, nil }

// Driver implements driver.Connector.
func (pinned) Driver() driver.Driver { return nil }

// Close implements driver.Conn: the connection stays open.
func (pinned) Close() error { return nil }

// Prepare implements driver.Conn.
func (p pinned) Prepare(query string) (driver.Stmt, error) { return p.conn.Prepare(query) }

// Begin implements driver.Conn.
func (p pinned) Begin() (driver.Tx, error) {
	return p.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx.
func (p pinned) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	_, err := p.ExecContext(ctx, "SAVEPOINT migration", nil)
	return savepoint{p}, err
}

// ExecContext implements driver.ExecerContext.
func (p pinned) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return p.conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// QueryContext implements driver.QueryerContext.
func (p pinned) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return p.conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

type savepoint struct{ pinned }

// Commit implements driver.Tx.
func (s savepoint) Commit() error {
	_, err := s.ExecContext(context.Background(), "RELEASE SAVEPOINT migration", nil)
	return err
}

// Rollback implements driver.Tx.
func (s savepoint) Rollback() error {
	if _, err := s.ExecContext(context.Background(), "ROLLBACK TO SAVEPOINT migration", nil); err != nil {
		return err
	}
	return s.Commit()
}
