package datastore

import (
	"context"
	"database/sql"
	"time"
)

// Dialect is the kind of a database, where SQL differs.
type Dialect string

// The kinds of databases, under their names in the config.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// querier is what a Tx runs its statements on.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Tx is a transaction that writes. It is of use only inside the function that
// got it, and only to one goroutine at a time. After the first statement that
// fails, all others do, on both databases: the function can only return.
type Tx struct {
	dialect Dialect
	on      querier
	rows    []*sql.Rows // that the function asked for
	failed  error

	db   *DB
	told *settlements
}

// Dialect returns the kind of the database.
func (tx *Tx) Dialect() Dialect { return tx.dialect }

// Exec runs a statement.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if tx.failed != nil {
		return nil, tx.failed
	}
	result, err := tx.on.ExecContext(tx.context(ctx), query, args...)
	return result, tx.fail(err)
}

// Query reads rows. They end with the function.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.query(ctx, tx.on.QueryContext, query, args)
}

// QueryRow reads one row.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *Row {
	ask := tx.on.QueryContext
	if conn, ok := tx.on.(*writeConn); ok {
		ask = conn.queryPrepared // one row is read before the statement is used again
	}
	rows, err := tx.query(ctx, ask, query, args)
	return &Row{rows, err, tx.fail}
}

func (tx *Tx) query(ctx context.Context, ask func(context.Context, string, ...any) (*sql.Rows, error), query string, args []any) (*sql.Rows, error) {
	if tx.failed != nil {
		return nil, tx.failed
	}
	rows, err := ask(tx.context(ctx), query, args...)
	if err != nil {
		return nil, tx.fail(err)
	}
	tx.rows = append(tx.rows, rows)
	return rows, nil
}

// Now returns the time of the database's clock, in microseconds since 1970.
func (tx *Tx) Now(ctx context.Context) (now int64, err error) {
	if tx.dialect == SQLite {
		return time.Now().UnixMilli() * 1000, nil // as its own functions have it, to the millisecond
	}
	err = tx.QueryRow(ctx, nowQuery(tx.dialect)).Scan(&now)
	return now, err
}

func nowQuery(dialect Dialect) string {
	if dialect == PostgreSQL {
		return "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
	}
	return "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000"
}

// context returns the one for a statement. On SQLite a statement is never
// interrupted: that would end the transaction of all who share it.
func (tx *Tx) context(ctx context.Context) context.Context {
	if tx.dialect == SQLite {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (tx *Tx) fail(err error) error {
	if err != nil && tx.failed == nil {
		tx.failed = err
	}
	return err
}

// end closes what the function left open, which would keep a transaction from
// being committed, and the transaction for the function.
func (tx *Tx) end() {
	for _, rows := range tx.rows {
		_ = rows.Close()
	}
	if conn, ok := tx.on.(*writeConn); ok {
		clear(conn.open)
	}
	tx.failed = sql.ErrTxDone
}

// Row is a row that has been asked for.
type Row struct {
	rows *sql.Rows
	err  error
	fail func(error) error
}

// Scan copies the columns, as that of sql.Row does: without a row it returns
// sql.ErrNoRows.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return r.fail(err)
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return r.fail(err)
	}
	return r.fail(r.rows.Close())
}
