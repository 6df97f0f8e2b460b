package subscriptions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// Target implements delivery.Store.
func (q *queue) Target(ctx context.Context, subscription string) (*delivery.Target, error) {
	target, err := q.target(ctx, subscription, "status = 'active' AND (expires_at IS NULL OR expires_at > $2)")
	if errors.Is(err, errUnknown) {
		err = q.cancelEnded(ctx, subscription)
	}
	return target, err
}

// anyStatus has target find each subscription.
const anyStatus = "CAST($2 AS BIGINT) > 0" // PostgreSQL would take it for a smaller one

// target returns where a subscription's deliveries go, if it meets a condition,
// in which $2 is the time.
func (s *Store) target(ctx context.Context, id, condition string) (*delivery.Target, error) {
	target := new(delivery.Target)
	var shape string
	var sealed []byte
	var failingSince, expiresAt int64
	now := time.Now()
	err := s.db.QueryRow(ctx, `SELECT target_url, ordered, flat, coalesce(rate_limit, 0), coalesce(signing, ''), sealed,
			coalesce(failing_since, 0), warned, coalesce(expires_at, 0)
		FROM connector_subscriptions WHERE id = $1 AND `+condition, id, micros(now)).
		Scan(&target.URL, &target.Ordered, &target.Flat, &target.Rate, &shape, &sealed, &failingSince, &target.Warnings, &expiresAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	if failingSince != 0 {
		target.FailingSince = time.UnixMicro(failingSince)
	}
	ring, err := s.db.KeyRing()
	if err != nil {
		return nil, err
	}
	opened, err := openSealed(ring, secretsOf(id, target.URL), sealed, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", delivery.ErrUnreadable, err)
	}
	target.Until = earliest(expiresAt, opened.Secrets)
	how, err := decodeSigning(shape)
	if err != nil {
		return nil, err
	}
	return target, how.prepare(target, opened)
}

// earliest returns when the first of a subscription and its secrets ends, or
// zero where none does.
func earliest(expiresAt int64, secrets []storedSecret) time.Time {
	for _, s := range secrets {
		if s.Until != 0 && (expiresAt == 0 || s.Until < expiresAt) {
			expiresAt = s.Until
		}
	}
	if expiresAt == 0 {
		return time.Time{}
	}
	return time.UnixMicro(expiresAt)
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
		s.changed(id)
	}
	return err
}
