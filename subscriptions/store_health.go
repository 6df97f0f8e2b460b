package subscriptions

import (
	"context"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// Report implements delivery.Store.
func (q *queue) Report(ctx context.Context, subscription string, c delivery.Condition) error {
	var told announcements
	more := false
	err := q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		told.settle(q.engine, false) // of a transaction that was rolled back
		more = false
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		changed, err := setHealth(ctx, tx, subscription, c, now)
		if err != nil || !changed {
			return err
		}
		if c.Health == delivery.Gone {
			if more, err = cancelDeliveries(ctx, tx, subscription); err != nil {
				return err
			}
		}
		return told.add(ctx, tx, q.Store, conditionTypes[c.Health], subscription, func(target string) any {
			return conditionOf(subscription, target, c)
		})
	})
	told.settle(q.engine, err == nil)
	if err == nil && more {
		q.canceller.add(subscription)
	}
	return err
}

// setHealth reports whether anything changed: several attempts may end at the
// same time and come to the same.
func setHealth(ctx context.Context, tx *datastore.Tx, subscription string, c delivery.Condition, now int64) (changed bool, err error) {
	var set, when string
	args := []any{subscription}
	switch c.Health {
	case delivery.Failing:
		set = "failing_since = coalesce(failing_since, $2), warned = $3"
		when = "status = 'active' AND (failing_since IS NULL OR warned < $3)"
		args = append(args, micros(c.Since), c.Warnings)
	case delivery.Recovered:
		set, when = "failing_since = NULL, warned = 0", "failing_since IS NOT NULL"
	case delivery.Disabled:
		set, when = "status = 'disabled', updated_at = $2", "status = 'active'"
		args = append(args, now)
	case delivery.Gone:
		set, when = "status = 'ended', updated_at = $2", "status <> 'ended'"
		args = append(args, now)
	}
	result, err := tx.Exec(ctx, "UPDATE connector_subscriptions SET "+set+" WHERE id = $1 AND "+when, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// forgetHealth is for a subscription that begins anew.
func forgetHealth(ctx context.Context, tx *datastore.Tx, subscription string) error {
	_, err := tx.Exec(ctx, "UPDATE connector_subscriptions SET failing_since = NULL, warned = 0 WHERE id = $1", subscription)
	return err
}
