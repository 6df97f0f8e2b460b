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
}

// ExecContext implements querier.
func (c *writeConn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// queryPrepared is for queries that cannot come again before their rows are
// read: a prepared statement has one set of rows at a time.
func (c *writeConn) queryPrepared(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (c *writeConn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := c.prepared[query]; stmt != nil {
		return stmt, nil
	}
	if len(c.prepared) == preparedLimit {
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
