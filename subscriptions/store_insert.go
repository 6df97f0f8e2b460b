package subscriptions

import (
	"context"
	"encoding/json"

	"github.com/f737063d/caddy-connector/datastore"
)

// insertEvents stores those that are not there yet, which it returns; of the
// others it looks up what they came to. A server gets all in one statement, and
// SQLite a prepared one for each.
var insertEvents = map[datastore.Dialect]func(context.Context, *datastore.Tx, []*publication, int64) ([]*publication, error){
	datastore.SQLite:     insertEachEvent,
	datastore.PostgreSQL: insertAllEvents,
}

const intoEvents = `INSERT INTO connector_events (id, type, resource_id, account_id, body, data_at, deliveries, created_at) `

func insertEachEvent(ctx context.Context, tx *datastore.Tx, batch []*publication, now int64) (fresh []*publication, err error) {
	for _, p := range batch {
		inserted, err := tx.Exec(ctx, intoEvents+"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
			p.event.ID, p.event.Type, p.event.ResourceID, p.event.AccountID, p.message.Body, p.dataAt, len(p.matching), now)
		if err != nil {
			return nil, err
		}
		n, err := inserted.RowsAffected()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			fresh = append(fresh, p)
		} else if err := p.lookUp(ctx, tx); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

func insertAllEvents(ctx context.Context, tx *datastore.Tx, batch []*publication, now int64) (fresh []*publication, err error) {
	n := len(batch)
	ids, types, resources, accounts := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	bodies, dataAt, deliveries := make([][]byte, n), make([]int64, n), make([]int64, n)
	for i, p := range batch {
		ids[i], types[i], resources[i], accounts[i] = p.event.ID, p.event.Type, p.event.ResourceID, p.event.AccountID
		bodies[i], dataAt[i], deliveries[i] = p.message.Body, int64(p.dataAt), int64(len(p.matching))
	}
	rows, err := tx.Query(ctx, intoEvents+`SELECT e.*, $8::bigint
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::bigint[]) AS e
		ON CONFLICT (id) DO NOTHING RETURNING id`, ids, types, resources, accounts, bodies, dataAt, deliveries, now)
	if err != nil {
		return nil, err
	}
	inserted := make(map[string]bool, n)
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		inserted[id] = true
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, p := range batch {
		if inserted[p.event.ID] {
			fresh = append(fresh, p)
		} else if err := p.lookUp(ctx, tx); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// lookUp finds what an event came to that was published before.
func (p *publication) lookUp(ctx context.Context, tx *datastore.Tx) error {
	p.result.Duplicate = true
	return tx.QueryRow(ctx, "SELECT deliveries FROM connector_events WHERE id = $1", p.event.ID).Scan(&p.result.Deliveries)
}

// insertDeliveries stores a delivery for each subscription that is still there.
var insertDeliveries = map[datastore.Dialect]func(ctx context.Context, tx *datastore.Tx, batch []*publication, node string, now int64) error{
	datastore.SQLite:     insertEventsDeliveries,
	datastore.PostgreSQL: insertAllDeliveries,
}

// insertEventsDeliveries has a statement for each event.
func insertEventsDeliveries(ctx context.Context, tx *datastore.Tx, batch []*publication, node string, now int64) error {
	for _, p := range batch {
		if len(p.matching) == 1 {
			if err := p.insertOne(ctx, tx, node, now); err != nil {
				return err
			}
			continue
		}
		var leased, free []string
		index := make(map[string]int, len(p.matching))
		for i, to := range p.matching {
			index[to.Subscription] = i
			if p.reserved[i] {
				leased = append(leased, to.Subscription)
			} else {
				free = append(free, to.Subscription)
			}
		}
		if err := p.insert(ctx, tx, index, leased, node, now); err != nil {
			return err
		}
		if err := p.insert(ctx, tx, index, free, nil, now); err != nil {
			return err
		}
	}
	return nil
}

// insertOne takes half the time of insert, where there is one.
func (p *publication) insertOne(ctx context.Context, tx *datastore.Tx, node any, now int64) error {
	if !p.reserved[0] {
		node = nil
	}
	inserted, err := tx.Exec(ctx, `INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT $1, id, 0, 0, $2, $2, $3 FROM connector_subscriptions WHERE id = $4`, p.event.ID, now, node, p.matching[0].Subscription)
	if err != nil {
		return err
	}
	if n, err := inserted.RowsAffected(); err != nil || n == 0 {
		return err
	}
	id, err := inserted.LastInsertId()
	if err == nil {
		p.keep(0, id)
	}
	return err
}

func (p *publication) insert(ctx context.Context, tx *datastore.Tx, index map[string]int, subscriptions []string, node any, now int64) error {
	if len(subscriptions) == 0 {
		return nil
	}
	list, err := json.Marshal(subscriptions)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT $1, s.id, 0, 0, $2, $2, $3 FROM json_each($4) AS j JOIN connector_subscriptions AS s ON s.id = j.value
		RETURNING id, subscription_id`, p.event.ID, now, node, string(list))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var subscription string
		if err := rows.Scan(&id, &subscription); err != nil {
			return err
		}
		p.keep(index[subscription], id)
	}
	return rows.Err()
}

// insertAllDeliveries numbers them in the order of publishing.
func insertAllDeliveries(ctx context.Context, tx *datastore.Tx, batch []*publication, node string, now int64) error {
	type place struct {
		*publication
		index int
	}
	places := make(map[[2]string]place)
	var events, subscriptions []string
	var leased []bool
	for _, p := range batch {
		for i, to := range p.matching {
			places[[2]string{p.event.ID, to.Subscription}] = place{p, i}
			events, subscriptions = append(events, p.event.ID), append(subscriptions, to.Subscription)
			leased = append(leased, p.reserved[i])
		}
	}
	if len(events) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT j.event, s.id, 0, 0, $1::bigint, $1::bigint, CASE WHEN j.leased THEN $2::text END
		FROM unnest($3::text[], $4::text[], $5::boolean[]) WITH ORDINALITY AS j (event, subscription, leased, n)
		JOIN connector_subscriptions AS s ON s.id = j.subscription ORDER BY j.n FOR KEY SHARE OF s
		RETURNING id, event_id, subscription_id`, now, node, events, subscriptions, leased)
	if err != nil {
		return err
	}
	for rows.Next() {
		var id int64
		var event, subscription string
		if err := rows.Scan(&id, &event, &subscription); err != nil {
			return err
		}
		at := places[[2]string{event, subscription}]
		at.keep(at.index, id)
	}
	return rows.Err()
}
