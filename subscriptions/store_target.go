package subscriptions

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// target returns where a subscription's deliveries go, whatever its status.
func (s *Store) target(ctx context.Context, id string) (*delivery.Target, error) {
	target := new(delivery.Target)
	var sealed []byte
	err := s.db.QueryRow(ctx, "SELECT target_url, ordered, sealed FROM connector_subscriptions WHERE id = $1", id).
		Scan(&target.URL, &target.Ordered, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	ring, err := s.db.KeyRing()
	if err != nil {
		return nil, err
	}
	target.Secrets, err = openSecrets(ring, id, sealed, time.Now())
	return target, err
}

// enable has a subscription be sent deliveries again that was disabled because
// its target failed.
func (s *Store) enable(ctx context.Context, owner, id string) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := begin(ctx, tx, owner)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE connector_subscriptions SET status = 'active', failing_since = NULL, warned = 0, updated_at = $1
			WHERE id = $2 AND owner = $3 AND status = 'disabled'`, now, id, owner)
		return err
	})
	if err == nil {
		s.engine.Changed(id)
	}
	return err
}
