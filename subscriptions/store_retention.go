package subscriptions

import (
	"context"
	"encoding/json"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// deliveries removes those whose event is older than the cutoff, or gone, with
// their attempts. Their ids grow with the time of publishing, so it ends where
// none of a step is old: one that a wrong clock made young does not stop it.
func (p *pruner) deliveries(ctx context.Context, cutoff int64, n *pruned) error {
	for after := int64(0); ; {
		old, last, err := p.oldDeliveries(ctx, cutoff, after)
		if err != nil || len(old) == 0 {
			return err
		}
		after = last
		list, err := json.Marshal(old)
		if err != nil {
			return err
		}
		var removed pruned
		err = p.write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
			removed = pruned{}
			ids := idsIn[tx.Dialect()]("$1")
			// first the deliveries: what finishes one meanwhile has then stored the
			// attempt, or will not
			rows, err := tx.Query(ctx, "DELETE FROM connector_deliveries WHERE id IN "+ids+" RETURNING state", string(list))
			if err != nil {
				return err
			}
			for rows.Next() {
				var state delivery.State
				if err := rows.Scan(&state); err != nil {
					return err
				}
				removed.deliveries++
				if state == delivery.Pending {
					removed.pending++
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
			removed.attempts, err = removeRows(ctx, tx, "DELETE FROM connector_attempts WHERE delivery_id IN "+ids, string(list))
			return err
		})
		if err != nil {
			return err
		}
		n.deliveries += removed.deliveries
		n.pending += removed.pending
		n.attempts += removed.attempts
	}
}

// oldDeliveries returns those of the first deliveries behind one that are old,
// and up to which it looked.
func (p *pruner) oldDeliveries(ctx context.Context, cutoff, after int64) (old []int64, last int64, err error) {
	rows, err := p.db.Query(ctx, `SELECT d.id, coalesce(e.created_at, 0)
		FROM (SELECT id, event_id FROM connector_deliveries WHERE id > $1 ORDER BY id LIMIT $2) AS d
		LEFT JOIN connector_events AS e ON e.id = d.event_id ORDER BY d.id`, after, prunedRows)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var published int64
		if err := rows.Scan(&last, &published); err != nil {
			return nil, 0, err
		}
		if published < cutoff {
			old = append(old, last)
		}
	}
	return old, last, rows.Err()
}

func removeRows(ctx context.Context, tx *datastore.Tx, statement string, args ...any) (int64, error) {
	removed, err := tx.Exec(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return removed.RowsAffected()
}

// repeat removes rows, so many at a time, until there are no more. The statement
// has the cutoff and the number as its parameters.
func (p *pruner) repeat(ctx context.Context, cutoff int64, limit int, total *int64, statement string) error {
	for {
		var removed int64
		err := p.write(ctx, func(ctx context.Context, tx *datastore.Tx) (err error) {
			removed, err = removeRows(ctx, tx, statement, cutoff, limit)
			return err
		})
		if err != nil {
			return err
		}
		if *total += removed; removed < int64(limit) {
			return nil
		}
	}
}

func (p *pruner) events(ctx context.Context, cutoff int64, n *pruned) error {
	return p.repeat(ctx, cutoff, prunedEvents, &n.events, `DELETE FROM connector_events WHERE id IN (
		SELECT id FROM connector_events WHERE created_at < $1 ORDER BY created_at LIMIT $2)`)
}

// The conditions have an index each: what is not removed costs nothing.
const (
	endedReplays         = "status <> 'running' AND updated_at < $1"
	endedSubscriptions   = "status = 'ended' AND updated_at < $1"
	expiredSubscriptions = "expires_at < $1"
)

// removeFrom removes rows that may have changed until it comes to them.
func removeFrom(table, condition string) string {
	return "DELETE FROM " + table + " WHERE id IN (SELECT id FROM " + table + " WHERE " + condition + " LIMIT $2) AND " + condition
}

func (p *pruner) replays(ctx context.Context, cutoff int64, n *pruned) error {
	return p.repeat(ctx, cutoff, prunedRows, &n.replays, removeFrom("connector_replays", endedReplays))
}

// subscriptions removes those that ended or expired long ago. What was sent to
// them is older.
func (p *pruner) subscriptions(ctx context.Context, cutoff int64, n *pruned) error {
	for _, over := range []string{endedSubscriptions, expiredSubscriptions} {
		if err := p.repeat(ctx, cutoff, prunedRows, &n.subscriptions, removeFrom("connector_subscriptions", over)); err != nil {
			return err
		}
	}
	return nil
}
