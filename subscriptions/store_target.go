package subscriptions

import (
	"context"
	"time"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// Target implements delivery.Store.
func (q *queue) Target(ctx context.Context, subscription string) (*delivery.Target, error) {
	rows, err := q.db.Query(ctx, `SELECT target_url, ordered, flat, coalesce(rate_limit, 0), coalesce(signing, ''), sealed,
		coalesce(failing_since, 0), warned FROM connector_subscriptions
		WHERE id = $1 AND status = 'active' AND (expires_at IS NULL OR expires_at > $2)`, subscription, micros(time.Now()))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	target := new(delivery.Target)
	var shape string
	var sealed []byte
	var failingSince int64
	err = rows.Scan(&target.URL, &target.Ordered, &target.Flat, &target.Rate, &shape, &sealed, &failingSince, &target.Warnings)
	if err != nil {
		return nil, err
	}
	if failingSince != 0 {
		target.FailingSince = time.UnixMicro(failingSince)
	}
	ring, err := q.db.KeyRing()
	if err != nil {
		return nil, err
	}
	opened, err := openSealed(ring, subscription, sealed, time.Now())
	if err != nil {
		return nil, err
	}
	how, err := decodeSigning(shape)
	if err != nil {
		return nil, err
	}
	return target, how.prepare(target, opened)
}
