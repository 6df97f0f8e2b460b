package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// queue is the delivery.Store of one node.
type queue struct {
	*Store
	node    string
	cluster *cluster
}

// Waiting implements delivery.Store. Subscriptions that are sent nothing now are
// looked at when they change.
func (q *queue) Waiting(ctx context.Context) ([]delivery.Due, error) {
	rows, err := q.db.Query(ctx, `SELECT d.subscription_id, min(d.due), max(coalesce(s.ordered, 0)), coalesce(max(s.status), 'ended')
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
		var status string
		if err := rows.Scan(&due.Subscription, &at, &due.Ordered, &status); err != nil {
			return nil, err
		}
		due.At = time.UnixMicro(at)
		switch status {
		case statusActive:
			waiting = append(waiting, due)
		case statusEnded: // or it was deleted
			q.canceller.add(due.Subscription)
		}
	}
	return waiting, rows.Err()
}

// claim has its limit in a sum for the sake of SQLite, as findCandidates.
var claim = map[datastore.Dialect]string{
	datastore.SQLite:     claimWith(""),
	datastore.PostgreSQL: claimWith("FOR UPDATE SKIP LOCKED"),
}

func claimWith(lock string) string {
	return `UPDATE connector_deliveries SET node = $1 WHERE id IN (
			SELECT id FROM connector_deliveries WHERE subscription_id = $2 AND state = 0 AND node IS NULL AND due <= $3
			ORDER BY due, id LIMIT $4 + 0 ` + lock + `)
		RETURNING id, event_id, attempts, tries, since`
}

// claimHead is claim for an ordered subscription: only the oldest deliveries, and
// none behind one that is not due, or that another node has.
const claimHead = `UPDATE connector_deliveries SET node = $1 WHERE node IS NULL AND id IN (
		SELECT id FROM connector_deliveries WHERE subscription_id = $2 AND state = 0 ORDER BY id LIMIT $4 + 0)
	AND NOT EXISTS (SELECT 1 FROM connector_deliveries AS head WHERE head.subscription_id = $2 AND head.state = 0
		AND (head.due > $3 OR head.node IS NOT NULL AND head.node <> $1) AND head.id <= connector_deliveries.id)
	RETURNING id, event_id, attempts, tries, since`

// Claim implements delivery.Store.
func (q *queue) Claim(ctx context.Context, subscription string, ordered bool, limit delivery.Limit) (claimed []*delivery.Delivery, next time.Time, err error) {
	err = q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if claimed, err = q.lease(ctx, tx, subscription, ordered, now, limit.Deliveries); err != nil {
			return err
		}
		if claimed, err = q.load(ctx, tx, claimed, limit.Bytes); err != nil {
			return err
		}
		next, err = nextDue(ctx, tx, subscription, ordered)
		return err
	})
	if err != nil && q.db.Dialect() == datastore.SQLite {
		claimed = nil // a commit that fails is none
	}
	return claimed, next, err
}

// lease leases deliveries that are due, and returns them without their messages,
// the oldest first.
func (q *queue) lease(ctx context.Context, tx *datastore.Tx, subscription string, ordered bool, now int64, limit int) (leased []*delivery.Delivery, err error) {
	statement := claim[tx.Dialect()]
	if ordered {
		statement = claimHead
	}
	rows, err := tx.Query(ctx, statement, q.node, subscription, now, limit)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		d := &delivery.Delivery{Subscription: subscription, Message: new(delivery.Message)}
		var since int64
		if err := rows.Scan(&d.ID, &d.Message.EventID, &d.Attempts, &d.Tries, &since); err != nil {
			return nil, err
		}
		d.Since = time.UnixMicro(since)
		leased = append(leased, d)
	}
	delivery.Sort(leased)
	return leased, rows.Err()
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

// load reads the messages of deliveries, as many as fit, and gives the others
// back. Those whose event is not kept any more are dead.
func (q *queue) load(ctx context.Context, tx *datastore.Tx, leased []*delivery.Delivery, maxBytes int) (loaded []*delivery.Delivery, err error) {
	messages := make(map[string]*delivery.Message)
	var expired, surplus []*delivery.Delivery
	size := 0
	for some := range slices.Chunk(leased, loadedTogether) {
		if size <= maxBytes {
			if err := loadMessages(ctx, tx, messages, some); err != nil {
				return nil, err
			}
		}
		for _, d := range some {
			message := messages[d.Message.EventID]
			switch {
			case size > maxBytes && len(loaded) > 0:
				surplus = append(surplus, d)
			case message == nil:
				expired = append(expired, d)
			default:
				d.Message = message
				size += len(message.Body)
				loaded = append(loaded, d)
			}
		}
	}
	if err := q.giveUp(ctx, tx, expired, delivery.Dead); err != nil {
		return nil, err
	}
	return loaded, q.giveUp(ctx, tx, surplus, delivery.Pending)
}

// loadedTogether is how many events are read with one statement: one for each
// would cost a round trip to a server, and all could be large.
const loadedTogether = 32

var selectMessages = map[datastore.Dialect]string{
	datastore.SQLite:     messagesIn("SELECT value FROM json_each($1)"),
	datastore.PostgreSQL: messagesIn("SELECT json_array_elements_text($1::json)"),
}

func messagesIn(ids string) string {
	return "SELECT id, body, data_at, traceparent, created_at FROM connector_events WHERE id IN (" + ids + ")"
}

// loadMessages reads the messages of deliveries that are not known yet. Of events
// that are not kept any more there are none.
func loadMessages(ctx context.Context, tx *datastore.Tx, known map[string]*delivery.Message, of []*delivery.Delivery) error {
	ids := make([]string, 0, len(of))
	for _, d := range of {
		if id := d.Message.EventID; known[id] == nil {
			ids = append(ids, id)
		}
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, selectMessages[tx.Dialect()], string(list))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		m := new(delivery.Message)
		var at int64
		if err := rows.Scan(&m.EventID, &m.Body, &m.DataAt, &m.Traceparent, &at); err != nil {
			return err
		}
		m.Published = time.UnixMicro(at)
		known[m.EventID] = m
	}
	return rows.Err()
}

// giveUp ends the leases of deliveries and sets their state.
func (q *queue) giveUp(ctx context.Context, tx *datastore.Tx, deliveries []*delivery.Delivery, state delivery.State) error {
	if len(deliveries) == 0 {
		return nil
	}
	ids := make([]int64, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.ID
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE connector_deliveries SET node = NULL, state = $1 WHERE node = $2 AND state = 0 AND id IN "+idsIn[tx.Dialect()]("$3"), int(state), q.node, string(list))
	return err
}

// Release implements delivery.Store.
func (q *queue) Release(ctx context.Context, deliveries []*delivery.Delivery) error {
	return q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		return q.giveUp(ctx, tx, deliveries, delivery.Pending)
	})
}

// Interface guard
var _ delivery.Store = (*queue)(nil)
