package vault

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
)

// On PostgreSQL, nodes tell each other which connections have changed: an id and
// the version, with a space between them. It is told in the transaction of the
// change, so that a node that dies then cannot leave others without it.
const channel = "connector_connections"

// deleted is the version of what is gone, and unchanged that of what has only lost
// its lease.
const (
	deleted   = math.MaxInt64
	unchanged = 0
)

const (
	// askEvery is how often the connection that listens is asked to answer. If it
	// fails to for MaxStale, nothing in memory counts that is older.
	askEvery = 1500 * time.Millisecond
	askLimit = 3 * time.Second
)

// tell has other nodes know of a change when the transaction is committed.
func tell(ctx context.Context, tx *datastore.Tx, id string, version int64) error {
	if tx.Dialect() != datastore.PostgreSQL {
		return nil
	}
	_, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", channel, id+" "+strconv.FormatInt(version, 10))
	return err
}

// listen hears what other nodes tell, until its context ends.
func (s *Store) listen(ctx context.Context) {
	const first, last = 50 * time.Millisecond, 5 * time.Second
	for wait := first; ; wait = min(2*wait, last) {
		err := s.db.Postgres(ctx, func(conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
				return err
			}
			s.cache.trust()
			wait = first
			return s.hear(ctx, conn)
		})
		if ctx.Err() != nil {
			return
		}
		s.log().Warn("listening to other nodes failed, so connections are kept in memory for a short time only; trying again",
			zap.Error(err), zap.Duration("after", wait))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// hear takes what is told, and finds out again and again that it still would be. It
// returns when the connection is lost.
func (s *Store) hear(ctx context.Context, conn *pgx.Conn) error {
	for {
		if err := s.take(ctx, conn, askEvery); err != nil {
			return err
		}
		asked := elapsed()
		asking, cancel := context.WithTimeout(ctx, askLimit)
		err := conn.Ping(asking)
		cancel()
		if err != nil {
			return err
		}
		// what was told before has come before the answer
		if err := s.take(ctx, conn, 0); err != nil {
			return err
		}
		s.cache.verify(asked)
	}
}

// take takes what is told for a time, and at least what has come already.
func (s *Store) take(ctx context.Context, conn *pgx.Conn, patience time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		notice, err := conn.WaitForNotification(waiting)
		if err != nil {
			if waiting.Err() != nil && ctx.Err() == nil && !conn.IsClosed() {
				return nil
			}
			return err
		}
		id, version, _ := strings.Cut(notice.Payload, " ")
		if version, err := strconv.ParseInt(version, 10, 64); err == nil {
			s.cache.changed(id, version)
		}
	}
}
