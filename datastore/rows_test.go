package datastore

import (
	"errors"
	"testing"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// A server that goes away while rows are read is not ready, and no other failure.
func TestCollectFromAServerThatGoesAway(t *testing.T) {
	f := run(t, DatabaseConfig{Driver: PostgreSQL, DSN: pgtest.Start(t)}, testKeys())
	rows, err := f.db.Query(t.Context(), "SELECT pg_backend_pid(), repeat('x', 1000) FROM generate_series(1, 100000)")
	read := 0
	_, err = Collect(rows, err, func(row Scanner) (int, error) {
		var pid int
		var text string
		err := row.Scan(&pid, &text)
		if read++; read == 1 && err == nil {
			err = f.db.QueryRow(t.Context(), "SELECT pg_terminate_backend($1)", pid).Scan(new(bool))
		}
		return pid, err
	})
	if read == 0 || read == 100000 || !errors.Is(err, ErrNotReady) {
		t.Errorf("after %d rows: %v", read, err)
	}
}
