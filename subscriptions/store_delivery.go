package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// queue is the delivery.Store of one node.
type queue struct {
	db   *datastore.DB
	node string
}

// Waiting implements delivery.Store.
func (q *queue) Waiting(ctx context.Context) ([]delivery.Due, error) {
	rows, err := q.db.Query(ctx, `SELECT d.subscription_id, min(d.due), max(coalesce(s.ordered, 0))
		FROM connector_deliveries AS d LEFT JOIN connector_subscriptions AS s ON s.id = d.subscription_id
		WHERE d.state = 0 AND d.node IS NULL GROUP BY d.subscription_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var waiting []delivery.Due
	for rows.Next() {
		var due delivery.Due
		var at int64
		if err := rows.Scan(&due.Subscription, &at, &due.Ordered); err != nil {
			return nil, err
		}
		due.At = time.UnixMicro(at)
		waiting = append(waiting, due)
	}
	return waiting, rows.Err()
}

var claim = map[datastore.Dialect]string{
	datastore.SQLite:     claimWith(""),
	datastore.PostgreSQL: claimWith("FOR UPDATE SKIP LOCKED"),
}

func claimWith(lock string) string {
	return `UPDATE connector_deliveries SET node = $1 WHERE id IN (
			SELECT id FROM connector_deliveries WHERE subscription_id = $2 AND state = 0 AND node IS NULL AND due <= $3
			ORDER BY due, id LIMIT $4 ` + lock + `)
		RETURNING id, event_id, attempts`
}

// claimHead is claim for an ordered subscription: only the oldest deliveries, and
// none behind one that is not due.
const claimHead = `UPDATE connector_deliveries SET node = $1 WHERE node IS NULL AND id IN (
		SELECT id FROM connector_deliveries WHERE subscription_id = $2 AND state = 0 ORDER BY id LIMIT $4)
	AND NOT EXISTS (SELECT 1 FROM connector_deliveries AS head WHERE head.subscription_id = $2 AND head.state = 0
		AND (head.due > $3 OR head.node IS NOT NULL AND head.node <> $1) AND head.id <= connector_deliveries.id)
	RETURNING id, event_id, attempts`

// Claim implements delivery.Store.
func (q *queue) Claim(ctx context.Context, subscription string, ordered bool, limit int) (claimed []*delivery.Delivery, next time.Time, err error) {
	err = q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		claimed, next = nil, time.Time{}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		statement := claim[tx.Dialect()]
		if ordered {
			statement = claimHead
		}
		rows, err := tx.Query(ctx, statement, q.node, subscription, now, limit)
		if err != nil {
			return err
		}
		for rows.Next() {
			d := &delivery.Delivery{Subscription: subscription, Message: new(delivery.Message)}
			if err := rows.Scan(&d.ID, &d.Message.EventID, &d.Attempts); err != nil {
				return err
			}
			claimed = append(claimed, d)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := loadMessages(ctx, tx, claimed); err != nil {
			return err
		}
		next, err = nextDue(ctx, tx, subscription, ordered)
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	delivery.Sort(claimed)
	return claimed, next, nil
}

// nextDue returns when the next delivery that nobody has leased is due; of an
// ordered subscription only the oldest one counts.
func nextDue(ctx context.Context, tx *datastore.Tx, subscription string, ordered bool) (time.Time, error) {
	by := "due, id"
	if ordered {
		by = "id"
	}
	var due int64
	err := tx.QueryRow(ctx, `SELECT due FROM connector_deliveries
		WHERE subscription_id = $1 AND state = 0 AND node IS NULL ORDER BY `+by+" LIMIT 1", subscription).Scan(&due)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.UnixMicro(due), err
}

// loadMessages reads the events of deliveries, each once.
func loadMessages(ctx context.Context, tx *datastore.Tx, deliveries []*delivery.Delivery) error {
	messages := make(map[string]*delivery.Message)
	for _, d := range deliveries {
		if known := messages[d.Message.EventID]; known != nil {
			d.Message = known
			continue
		}
		var at int64
		err := tx.QueryRow(ctx, "SELECT body, data_at, created_at FROM connector_events WHERE id = $1", d.Message.EventID).Scan(&d.Message.Body, &d.Message.DataAt, &at)
		if err != nil {
			return err
		}
		d.Message.Published = time.UnixMicro(at)
		messages[d.Message.EventID] = d.Message
	}
	return nil
}

// Finish implements delivery.Store.
func (q *queue) Finish(ctx context.Context, results []delivery.Result) error {
	return q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		for _, r := range results {
			due := micros(r.Attempt.Started)
			if r.State == delivery.Pending {
				due = micros(r.Due)
			}
			done, err := tx.Exec(ctx, `UPDATE connector_deliveries SET state = $1, attempts = $2, due = $3, node = NULL
				WHERE id = $4 AND node = $5 AND state = 0`, int(r.State), r.Delivery.Attempts, due, r.Delivery.ID, q.node)
			if err != nil {
				return err
			}
			if n, err := done.RowsAffected(); err != nil {
				return err
			} else if n == 0 {
				continue // the lease was lost, or the subscription ended
			}
			_, err = tx.Exec(ctx, `INSERT INTO connector_attempts (delivery_id, number, started, duration, status, error, answer)
				VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
				r.Delivery.ID, r.Delivery.Attempts, micros(r.Attempt.Started), r.Attempt.Duration.Microseconds(),
				r.Attempt.Status, r.Attempt.Error, readable(r.Attempt.Answer))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// readable makes text of an answer: neither database stores any bytes as text.
func readable(answer []byte) string {
	text := strings.ReplaceAll(string(answer), "\x00", "\ufffd")
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// Release implements delivery.Store.
func (q *queue) Release(ctx context.Context, deliveries []*delivery.Delivery) error {
	ids := make([]int64, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.ID
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, release[tx.Dialect()], q.node, string(list))
		return err
	})
}

var release = map[datastore.Dialect]string{
	datastore.SQLite: `UPDATE connector_deliveries SET node = NULL WHERE node = $1 AND state = 0
		AND id IN (SELECT value FROM json_each($2))`,
	datastore.PostgreSQL: `UPDATE connector_deliveries SET node = NULL WHERE node = $1 AND state = 0
		AND id IN (SELECT value::text::bigint FROM json_array_elements($2::json))`,
}

// End implements delivery.Store.
func (q *queue) End(ctx context.Context, subscription string) error {
	return q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE connector_subscriptions SET status = 'ended', updated_at = $1 WHERE id = $2", now, subscription)
		if err != nil {
			return err
		}
		return cancelDeliveries(ctx, tx, subscription)
	})
}

// cancelDeliveries cancels what is still to be sent to a subscription.
func cancelDeliveries(ctx context.Context, tx *datastore.Tx, subscription string) error {
	_, err := tx.Exec(ctx, "UPDATE connector_deliveries SET state = $1, node = NULL WHERE subscription_id = $2 AND state = 0",
		int(delivery.Cancelled), subscription)
	return err
}

// Interface guard
var _ delivery.Store = (*queue)(nil)
