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

const intoEvents = `INSERT INTO connector_events 
	(id, type, resource_type, resource_id, account_id, traceparent, body, data_at, deliveries, created_at) `

func insertEachEvent(ctx context.Context, tx *datastore.Tx, batch []*publication, now int64) (fresh []*publication, err error) {
	for _, p := range batch {
		inserted, err := tx.Exec(ctx, intoEvents+"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
			p.event.ID, p.event.Type, p.event.ResourceType, p.event.ResourceID, p.event.AccountID, p.event.Traceparent,
			p.message.Body, p.message.DataAt, len(p.matching), now)
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
	var texts [6][]string // id, type, resource's type and id, account, trace
	for i := range texts {
		texts[i] = make([]string, n)
	}
	bodies, dataAt, deliveries := make([][]byte, n), make([]int64, n), make([]int64, n)
	for i, p := range batch {
		e := p.event
		for j, text := range [...]string{e.ID, e.Type, e.ResourceType, e.ResourceID, e.AccountID, e.Traceparent} {
			texts[j][i] = text
		}
		bodies[i], dataAt[i], deliveries[i] = p.message.Body, int64(p.message.DataAt), int64(len(p.matching))
	}
	rows, err := tx.Query(ctx, intoEvents+`SELECT e.*, $10::bigint
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bigint[], $9::bigint[]) AS e
		ON CONFLICT (id) DO NOTHING RETURNING id`,
		texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], bodies, dataAt, deliveries, now)
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

// leaseUnless is the node that a delivery is leased to. Of an ordered subscription
// none is leased that would overtake another one: what a node that has published
// it has not told yet, or has not given up yet.
func leaseUnless(leased, node, differs string) string {
	return "CASE WHEN " + leased + ` AND NOT (s.ordered <> 0 AND EXISTS (SELECT 1 FROM connector_deliveries AS d
		WHERE d.subscription_id = s.id AND d.state = 0 AND d.node ` + differs + " " + node + ")) THEN " + node + " END"
}

// insertDeliveries stores a delivery for each subscription that is still there
// and has not ended.
var insertDeliveries = map[datastore.Dialect]func(ctx context.Context, tx *datastore.Tx, batch []*publication, node string, now int64) error{
	datastore.SQLite:     insertEventsDeliveries,
	datastore.PostgreSQL: insertAllDeliveries,
}

// insertEventsDeliveries has a statement for each event. With OR FAIL they keep no
// journal of their own: what fails is undone with the whole function.
func insertEventsDeliveries(ctx context.Context, tx *datastore.Tx, batch []*publication, node string, now int64) error {
	for _, p := range batch {
		if len(p.matching) == 1 && !p.matching[0].Ordered {
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
	inserted, err := tx.Exec(ctx, `INSERT OR FAIL INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT $1, id, 0, 0, $2, $2, $3 FROM connector_subscriptions WHERE id = $4 AND status <> 'ended'`, p.event.ID, now, node, p.matching[0].Subscription)
	if err != nil {
		return err
	}
	if n, err := inserted.RowsAffected(); err != nil || n == 0 {
		return err
	}
	id, err := inserted.LastInsertId()
	if err == nil {
		p.keep(0, id, p.reserved[0])
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
	rows, err := tx.Query(ctx, `INSERT OR FAIL INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT $1, s.id, 0, 0, $2, $2, `+leaseUnless("$3 IS NOT NULL", "$3", "IS NOT")+`
		FROM json_each($4) AS j JOIN connector_subscriptions AS s ON s.id = j.value AND s.status <> 'ended'
		RETURNING id, subscription_id, node IS NOT NULL`, p.event.ID, now, node, string(list))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var subscription string
		var leased bool
		if err := rows.Scan(&id, &subscription, &leased); err != nil {
			return err
		}
		p.keep(index[subscription], id, leased)
	}
	return rows.Err()
}

// insertAllDeliveries numbers them in the order of publishing. The statement does
// not see its own rows: what they must not overtake of each other is known here.
func insertAllDeliveries(ctx context.Context, tx *datastore.Tx, batch []*publication, node string, now int64) error {
	type place struct {
		*publication
		index int
	}
	places := make(map[[2]string]place)
	var events, subscriptions []string
	var leased []bool
	waits := make(map[string]bool) // ordered subscriptions, one of whose deliveries is not leased
	for _, p := range batch {
		for i, to := range p.matching {
			places[[2]string{p.event.ID, to.Subscription}] = place{p, i}
			events, subscriptions = append(events, p.event.ID), append(subscriptions, to.Subscription)
			waits[to.Subscription] = to.Ordered && (waits[to.Subscription] || !p.reserved[i])
			leased = append(leased, p.reserved[i] && !waits[to.Subscription])
		}
	}
	if len(events) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node)
		SELECT j.event, s.id, 0, 0, $1::bigint, $1::bigint, `+leaseUnless("j.leased", "$2::text", "IS DISTINCT FROM")+`
		FROM unnest($3::text[], $4::text[], $5::boolean[]) WITH ORDINALITY AS j (event, subscription, leased, n)
		JOIN connector_subscriptions AS s ON s.id = j.subscription AND s.status <> 'ended' ORDER BY j.n FOR KEY SHARE OF s
		RETURNING id, event_id, subscription_id, node IS NOT NULL`, now, node, events, subscriptions, leased)
	if err != nil {
		return err
	}
	for rows.Next() {
		var id int64
		var event, subscription string
		var leased bool
		if err := rows.Scan(&id, &event, &subscription, &leased); err != nil {
			return err
		}
		at := places[[2]string{event, subscription}]
		at.keep(at.index, id, leased)
	}
	return rows.Err()
}
