package subscriptions

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// Results are written as one JSON array of [delivery, state, attempts, tries, due,
// started, duration, status, error, answer]: a statement for each of them would
// cost a round trip to a server.
//
// A delivery that was cancelled while it was under way keeps that state, but has
// its attempt counted.
var finish = map[datastore.Dialect][]string{
	datastore.SQLite: {
		`UPDATE connector_deliveries AS d SET state = r.value ->> 1, attempts = r.value ->> 2, tries = r.value ->> 3,
			due = r.value ->> 4, node = NULL
			FROM json_each($1) AS r
			WHERE d.id = r.value ->> 0 AND (d.node = $2 AND d.state = 0 OR d.state = 3 AND r.value ->> 1 = 3)`,
		`INSERT INTO connector_attempts (delivery_id, number, started, duration, status, error, answer)
			SELECT r.value ->> 0, r.value ->> 2, r.value ->> 5, r.value ->> 6, r.value ->> 7, r.value ->> 8, r.value ->> 9
			FROM json_each($1) AS r WHERE $2 <> '' ON CONFLICT DO NOTHING`,
	},
	datastore.PostgreSQL: {
		`WITH r AS (SELECT (value ->> 0)::bigint AS id, (value ->> 1)::bigint AS state, (value ->> 2)::bigint AS attempts,
				(value ->> 3)::bigint AS tries, (value ->> 4)::bigint AS due, value
			FROM json_array_elements($1::json)),
		done AS (UPDATE connector_deliveries AS d SET state = r.state, attempts = r.attempts, tries = r.tries, due = r.due, node = NULL
			FROM r WHERE d.id = r.id AND (d.node = $2 AND d.state = 0 OR d.state = 3 AND r.state = 3))
		INSERT INTO connector_attempts (delivery_id, number, started, duration, status, error, answer)
			SELECT id, attempts, (value ->> 5)::bigint, (value ->> 6)::bigint, (value ->> 7)::bigint, value ->> 8, value ->> 9
			FROM r ON CONFLICT DO NOTHING`,
	},
}

// Finish implements delivery.Store.
func (q *queue) Finish(ctx context.Context, results []delivery.Result) error {
	list := make([][10]any, len(results))
	for i, r := range results {
		due := r.Attempt.Started
		if r.State == delivery.Pending {
			due = r.Due
		}
		list[i] = [...]any{
			r.Delivery.ID, int(r.State), r.Delivery.Attempts, r.Delivery.Tries, micros(due),
			micros(r.Attempt.Started), r.Attempt.Duration.Microseconds(), r.Attempt.Status, r.Attempt.Error, readable(r.Attempt.Answer),
		}
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return err
	}
	var told announcements
	err = q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		told.settle(q.engine, false) // of a transaction that was rolled back
		for _, statement := range finish[tx.Dialect()] {
			if _, err := tx.Exec(ctx, statement, string(encoded), q.node); err != nil {
				return err
			}
		}
		return q.announceExhausted(ctx, tx, &told, results)
	})
	told.settle(q.engine, err == nil)
	return err
}

// announceExhausted tells the owners of deliveries that are not tried any more.
func (q *queue) announceExhausted(ctx context.Context, tx *datastore.Tx, told *announcements, results []delivery.Result) error {
	for _, r := range results {
		if r.State != delivery.Dead {
			continue
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		d := r.Delivery
		err = told.add(ctx, tx, q.engine, now, exhaustedType, d.Subscription, func(target string) any {
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

// readable makes text of an answer: neither database stores any bytes as text.
func readable(answer []byte) string {
	text := strings.ReplaceAll(string(answer), "\x00", "\ufffd")
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\ufffd")
}
