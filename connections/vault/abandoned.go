package vault

import (
	"context"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// maxHeld is how many leases are looked at.
const maxHeld = 10_000

// Held is a lease that was not ended: its holder still works, or was killed. If it
// is there again when its time is over, the latter.
type Held struct {
	ID     string // of the connection
	holder string
	until  int64 // by the database's clock
}

// Held returns the leases that were not ended, and how long the last of them may
// still be used.
func (s *Store) Held(ctx context.Context) (held []Held, lasts time.Duration, err error) {
	now, err := s.db.Now(ctx)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.db.Query(ctx, "SELECT id, lease_holder, lease_until FROM connector_connections WHERE lease_holder <> '' LIMIT $1", maxHeld)
	held, err = datastore.Collect(rows, err, func(row datastore.Scanner) (h Held, err error) {
		err = row.Scan(&h.ID, &h.holder, &h.until)
		return h, err
	})
	for _, h := range held {
		lasts = max(lasts, time.Duration(h.until-now)*time.Microsecond)
	}
	return held, lasts, err
}
