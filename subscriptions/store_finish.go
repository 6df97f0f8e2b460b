package subscriptions

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// A delivery that was cancelled while it was under way keeps that state, but has
// its attempt counted.
var finish = map[datastore.Dialect]func(ctx context.Context, tx *datastore.Tx, node string, results []delivery.Result) error{
	datastore.SQLite:     finishEach,
	datastore.PostgreSQL: finishAll,
}

// Finish implements delivery.Store.
func (q *queue) Finish(ctx context.Context, results []delivery.Result) error {
	var told announcements
	err := q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		told.settle(q.engine, false) // of a transaction that was rolled back
		if err := finish[tx.Dialect()](ctx, tx, q.node, results); err != nil {
			return err
		}
		return q.announceExhausted(ctx, tx, &told, results)
	})
	told.settle(q.engine, err == nil)
	return err
}

// finishEach has prepared statements for each result: SQLite takes longer to
// read a list of them.
func finishEach(ctx context.Context, tx *datastore.Tx, node string, results []delivery.Result) error {
	for _, r := range results {
		_, err := tx.Exec(ctx, `UPDATE connector_deliveries SET state = $1, attempts = $2, tries = $3, due = $4, node = NULL
			WHERE id = $5 AND (node = $6 AND state = 0 OR state = 3 AND $1 = 3)`,
			int(r.State), r.Delivery.Attempts, r.Delivery.Tries, micros(dueOf(r)), r.Delivery.ID, node)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO connector_attempts (delivery_id, number, started, duration, status, error)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, r.Delivery.ID, r.Delivery.Attempts,
			micros(r.Attempt.Started), r.Attempt.Duration.Microseconds(), r.Attempt.Status, r.Attempt.Error)
		if err != nil {
			return err
		}
	}
	return nil
}

// finishAll writes one JSON array of [delivery, state, attempts, tries, due,
// started, duration, status, error]: a statement for each of them would
// cost a round trip to the server.
func finishAll(ctx context.Context, tx *datastore.Tx, node string, results []delivery.Result) error {
	list := make([][9]any, len(results))
	for i, r := range results {
		list[i] = [...]any{
			r.Delivery.ID, int(r.State), r.Delivery.Attempts, r.Delivery.Tries, micros(dueOf(r)),
			micros(r.Attempt.Started), r.Attempt.Duration.Microseconds(), r.Attempt.Status, r.Attempt.Error,
		}
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `WITH r AS (SELECT (value ->> 0)::bigint AS id, (value ->> 1)::bigint AS state, (value ->> 2)::bigint AS attempts,
				(value ->> 3)::bigint AS tries, (value ->> 4)::bigint AS due, value
			FROM json_array_elements($1::json)),
		done AS (UPDATE connector_deliveries AS d SET state = r.state, attempts = r.attempts, tries = r.tries, due = r.due, node = NULL
			FROM r WHERE d.id = r.id AND (d.node = $2 AND d.state = 0 OR d.state = 3 AND r.state = 3))
		INSERT INTO connector_attempts (delivery_id, number, started, duration, status, error)
			SELECT id, attempts, (value ->> 5)::bigint, (value ->> 6)::bigint, (value ->> 7)::bigint, value ->> 8
			FROM r ON CONFLICT DO NOTHING`, string(encoded), node)
	return err
}

// dueOf is when a delivery is tried again, or else when it was tried.
func dueOf(r delivery.Result) time.Time {
	if r.State == delivery.Pending {
		return r.Due
	}
	return r.Attempt.Started
}

// announceExhausted tells the owners of deliveries that are not tried any more.
func (q *queue) announceExhausted(ctx context.Context, tx *datastore.Tx, told *announcements, results []delivery.Result) error {
	for _, r := range results {
		if r.State != delivery.Dead {
			continue
		}
		d := r.Delivery
		err := told.add(ctx, tx, q.Store, exhaustedType, d.Subscription, func(target string) any {
			return exhaustedData{
				SubscriptionID: d.Subscription, TargetURL: target, DeliveryID: deliveryPrefix + strconv.FormatInt(d.ID, 10),
				EventID: d.Message.EventID, Attempts: d.Attempts, Status: r.Attempt.Status, Error: r.Attempt.Error,
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
