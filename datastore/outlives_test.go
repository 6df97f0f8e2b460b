package datastore

import (
	"errors"
	"testing"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// What outlives its config, which never had the database, has it when the next
// config does: a server that came later, or keys that were corrected.
func TestOutlivesItsConfig(t *testing.T) {
	server := pgtest.New(t)
	config := DatabaseConfig{Driver: PostgreSQL, DSN: server.Database(t)}
	keys := testKeys()
	run(t, config, keys).end(t)

	t.Run("keys", func(t *testing.T) {
		first := run(t, config, testKeys())
		kept := first.db
		if err := kept.Ready(); !errors.As(err, new(keyError)) {
			t.Errorf("with other keys: %v", err)
		}
		next := run(t, config, keys)
		first.end(t)
		ring, err := kept.KeyRing()
		if err != nil || ring != next.keys || count(t, kept) != 0 {
			t.Errorf("with the keys: %v", err)
		}
		broken := run(t, config, testKeys())
		if err := broken.db.Ready(); !errors.As(err, new(keyError)) {
			t.Errorf("with other keys again: %v", err)
		}
	})
	t.Run("server", func(t *testing.T) {
		server.Stop(t)
		first := run(t, config, keys)
		kept := first.db
		next := run(t, config, keys)
		first.end(t)
		if err := kept.Ready(); !errors.Is(err, ErrNotReady) {
			t.Errorf("without a server: %v", err)
		}
		server.Restart(t)
		eventually(t, "the database", func() bool { return next.db.Ready() == nil })
		if err := kept.Ready(); err != nil {
			t.Error(err)
		}
	})
}
