package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// insertDeliveries has a row for each subscription of a JSON array of [id, leased].
// Of an ordered subscription none is leased that would overtake another one: what
// a node that has published it has not told yet, or has not given up yet.
var insertDeliveries = map[datastore.Dialect]string{
	datastore.SQLite: `INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT $1, s.id, 0, 0, $2, $2, CASE WHEN j.value ->> 1 AND NOT (s.ordered AND EXISTS (
			SELECT 1 FROM connector_deliveries AS d WHERE d.subscription_id = s.id AND d.state = 0 AND d.node IS NOT $3)) THEN $3 END
		FROM json_each($4) AS j JOIN connector_subscriptions AS s ON s.id = j.value ->> 0
		RETURNING id, subscription_id, node IS NOT NULL`,
	datastore.PostgreSQL: `INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT $1, s.id, 0, 0, $2, $2, CASE WHEN (j.value ->> 1)::boolean AND NOT (s.ordered <> 0 AND EXISTS (
			SELECT 1 FROM connector_deliveries AS d WHERE d.subscription_id = s.id AND d.state = 0 AND d.node IS DISTINCT FROM $3)) THEN $3 END
		FROM json_array_elements($4::json) AS j JOIN connector_subscriptions AS s ON s.id = j.value ->> 0
		FOR KEY SHARE OF s
		RETURNING id, subscription_id, node IS NOT NULL`,
}

// Publish stores events and a delivery for each subscription that matches, in
// one transaction, and has them sent. When it returns, all of them are durable,
// or none is. An event whose id is known is not stored again.
func (s *Store) Publish(ctx context.Context, events []Event) ([]Published, error) {
	batch := make([]publication, len(events))
	for i, event := range events {
		to, err := matching(ctx, s.db, event)
		if err != nil {
			return nil, err
		}
		batch[i] = publication{event: event, matching: to}
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		for i := range batch {
			if err := batch[i].write(ctx, tx, s.engine, now); err != nil {
				return err
			}
		}
		return nil
	})
	published := make([]Published, len(events))
	for i := range batch {
		batch[i].settle(s.engine, err == nil)
		published[i] = batch[i].result
	}
	if err != nil {
		return nil, err
	}
	return published, nil
}

// querier is a database, or a transaction in it.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// candidates are the subscriptions to a resource, or, for an event that the edge
// itself has to tell, to all of its kind.
const candidates = `SELECT id, events, ordered, coalesce(rate_limit, 0), coalesce(filter, '') FROM connector_subscriptions
	WHERE (resource_id = $1 OR $4 = '` + reservedResource + `' AND resource_id = '` + allResources + `')
		AND (resource_type = $4 OR $4 = '' AND resource_type <> '` + reservedResource + `')
		AND status <> 'ended' AND ($2 = '' OR owner = $2) AND (expires_at IS NULL OR expires_at > $3)`

// matching returns the subscriptions that an event is for.
func matching(ctx context.Context, on querier, event Event) ([]delivery.Recipient, error) {
	rows, err := on.Query(ctx, candidates, event.ResourceID, event.AccountID, micros(time.Now()), event.ResourceType)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []delivery.Recipient
	filtered := filtering{data: event.Data}
	for rows.Next() {
		var to delivery.Recipient
		var patterns, wanted string
		if err := rows.Scan(&to.Subscription, &patterns, &to.Ordered, &to.Rate, &wanted); err != nil {
			return nil, err
		}
		var events []string
		if err := json.Unmarshal([]byte(patterns), &events); err != nil {
			return nil, err
		}
		if !eventtype.MatchAny(events, event.Type) {
			continue
		}
		if wants, err := filtered.wants(wanted); err != nil {
			return nil, err
		} else if wants {
			found = append(found, to)
		}
	}
	return found, rows.Err()
}

// publication is one event on its way into the database.
type publication struct {
	event      Event
	matching   []delivery.Recipient
	size       int // of the body
	reserved   []bool
	deliveries []*delivery.Delivery // by the index of matching; nil where the store has it
	result     Published
}

// write stores the event and its deliveries. It may be called again, in another
// transaction.
func (p *publication) write(ctx context.Context, tx *datastore.Tx, engine *delivery.Engine, now int64) error {
	p.settle(engine, false)
	p.result = Published{ID: p.event.ID, Deliveries: len(p.matching)}
	at := time.UnixMicro(now)
	body, dataAt := p.event.push(at)
	message := &delivery.Message{EventID: p.event.ID, Published: at, Traceparent: p.event.Traceparent, Body: body, DataAt: dataAt}
	p.size = len(body)
	inserted, err := tx.Exec(ctx, `INSERT INTO connector_events
		(id, type, resource_type, resource_id, account_id, traceparent, body, data_at, deliveries, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
		p.event.ID, p.event.Type, p.event.ResourceType, p.event.ResourceID, p.event.AccountID, p.event.Traceparent, body, dataAt,
		len(p.matching), now)
	if err != nil {
		return err
	}
	if n, err := inserted.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		p.result.Duplicate = true
		return tx.QueryRow(ctx, "SELECT deliveries FROM connector_events WHERE id = $1", p.event.ID).Scan(&p.result.Deliveries)
	}
	if len(p.matching) == 0 {
		return nil
	}
	p.reserved = engine.Reserve(p.matching, p.size)
	p.deliveries = make([]*delivery.Delivery, len(p.matching))
	index := make(map[string]int, len(p.matching))
	list := make([][2]any, len(p.matching))
	for i, to := range p.matching {
		index[to.Subscription] = i
		list[i] = [2]any{to.Subscription, p.reserved[i]}
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, insertDeliveries[tx.Dialect()], p.event.ID, now, engine.Node, string(encoded))
	if err != nil {
		return err
	}
	defer rows.Close()
	stored := 0
	for rows.Next() {
		var id int64
		var subscription string
		var leased bool
		if err := rows.Scan(&id, &subscription, &leased); err != nil {
			return err
		}
		stored++
		if i := index[subscription]; leased {
			p.deliveries[i] = &delivery.Delivery{ID: id, Subscription: subscription, Since: at, Message: message}
		}
	}
	if err := rows.Err(); err != nil || stored == len(p.matching) {
		return err
	}
	// one was deleted since it was found
	p.result.Deliveries = stored
	_, err = tx.Exec(ctx, "UPDATE connector_events SET deliveries = $1 WHERE id = $2", stored, p.event.ID)
	return err
}

// settle hands over what was committed, or gives back the room that was
// reserved for it.
func (p *publication) settle(engine *delivery.Engine, committed bool) {
	if p.reserved == nil {
		return
	}
	deliveries := p.deliveries
	if !committed {
		deliveries = nil
	}
	engine.Offer(p.matching, p.size, p.reserved, deliveries)
	for i, to := range p.matching {
		if committed && p.reserved[i] && deliveries[i] == nil { // it must wait for others
			engine.Look(to.Subscription)
		}
	}
	p.reserved = nil
}
