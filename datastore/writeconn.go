package datastore

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

const preparedLimit = 256

// writeConn is the connection that writes, with its prepared statements:
// parsing them costs as much as running them.
type writeConn struct {
	*sql.Conn
	prepared map[string]*sql.Stmt
	open     map[string]*sql.Rows // that the function which runs has asked for
}

func newWriteConn(conn *sql.Conn) *writeConn {
	return &writeConn{Conn: conn, prepared: make(map[string]*sql.Stmt), open: make(map[string]*sql.Rows)}
}

// ExecContext implements querier.
func (c *writeConn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return c.Conn.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext implements querier.
func (c *writeConn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return c.Conn.QueryContext(ctx, query, args...)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err == nil {
		c.open[query] = rows
	}
	return rows, err
}

// queryPrepared is for queries that cannot come again before their rows are
// read.
func (c *writeConn) queryPrepared(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return c.Conn.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// prepare returns nil for what is to be run unprepared: a prepared statement has
// one set of rows at a time.
func (c *writeConn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if rows := c.open[query]; rows != nil {
		if _, err := rows.Columns(); err == nil { // they are not closed, nor read to their end
			return nil, nil
		}
	}
	if stmt := c.prepared[query]; stmt != nil {
		return stmt, nil
	}
	if len(c.prepared) == preparedLimit {
		if len(c.open) > 0 {
			return nil, nil
		}
		c.forget()
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err == nil {
		c.prepared[query] = stmt
	}
	return stmt, err
}

func (c *writeConn) forget() {
	for _, stmt := range c.prepared {
		_ = stmt.Close()
	}
	clear(c.prepared)
}

// discard closes the connection itself, instead of giving it back.
func (c *writeConn) discard() {
	c.forget()
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.Close()
}
