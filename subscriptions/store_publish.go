package subscriptions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// Publish stores events and a delivery for each subscription that matches, in
// one transaction, and has them sent. When it returns, all of them are durable,
// or none is. An event whose id is known is not stored again.
func (s *Store) Publish(ctx context.Context, events []Event) ([]Published, error) {
	if err := s.db.Ready(); err != nil {
		return nil, err
	}
	sub := &submission{batch: make([]publication, len(events)), done: make(chan error, 1)}
	for i, event := range events {
		sub.batch[i].event = event
	}
	if err := s.batcher.submit(ctx, s, sub); err != nil {
		return nil, err
	}
	published := make([]Published, len(events))
	for i := range sub.batch {
		published[i] = sub.batch[i].result
	}
	return published, nil
}

// findCandidates is of a JSON array of [resource, account], each of which is a number in
// the result.
var findCandidates = map[datastore.Dialect]string{
	datastore.SQLite:     findCandidatesOf("json_each($1) AS k CROSS JOIN connector_subscriptions", "k.key"),
	datastore.PostgreSQL: findCandidatesOf("json_array_elements($1::json) WITH ORDINALITY AS k (value, n) JOIN connector_subscriptions", "k.n - 1"),
}

func findCandidatesOf(from, number string) string {
	return "SELECT " + number + ", s.id, s.events, s.ordered FROM " + from + ` AS s ON s.resource_id = k.value ->> 0
		WHERE s.status <> 'ended' AND (k.value ->> 1 = '' OR s.owner = k.value ->> 1) AND (s.expires_at IS NULL OR s.expires_at > $2)`
}

// candidate is a subscription to the resource of an event.
type candidate struct {
	delivery.Recipient
	events []string
}

// match finds the subscriptions that events are for. Events of the same resource
// share what is found.
func (s *Store) match(ctx context.Context, batch []*publication) error {
	numbers := make(map[[2]string]int, len(batch))
	var keys [][2]string
	for _, p := range batch {
		key := [2]string{p.event.ResourceID, p.event.AccountID}
		if _, known := numbers[key]; !known {
			numbers[key] = len(keys)
			keys = append(keys, key)
		}
	}
	candidates, err := s.candidates(ctx, keys)
	if err != nil {
		return err
	}
	for _, p := range batch {
		p.matching = nil
		for _, c := range candidates[numbers[[2]string{p.event.ResourceID, p.event.AccountID}]] {
			if eventtype.MatchAny(c.events, p.event.Type) {
				p.matching = append(p.matching, c.Recipient)
			}
		}
	}
	return nil
}

func (s *Store) candidates(ctx context.Context, keys [][2]string) ([][]candidate, error) {
	encoded, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Query(ctx, findCandidates[s.db.Dialect()], string(encoded), micros(time.Now()))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make([][]candidate, len(keys))
	for rows.Next() {
		var number int
		var c candidate
		var patterns string
		if err := rows.Scan(&number, &c.Subscription, &patterns, &c.Ordered); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(patterns), &c.events); err != nil {
			return nil, err
		}
		found[number] = append(found[number], c)
	}
	return found, rows.Err()
}

// publication is one event on its way into the database.
type publication struct {
	event      Event
	matching   []delivery.Recipient
	message    *delivery.Message
	dataAt     int // where in the message the data begins
	stored     int // deliveries
	reserved   []bool
	deliveries []*delivery.Delivery // by the index of matching; nil where the store has it
	result     Published
}

// prepare begins anew with a transaction.
func (p *publication) prepare(engine *delivery.Engine, at time.Time) {
	p.settle(engine, false)
	p.message = &delivery.Message{EventID: p.event.ID, Published: at}
	p.message.Body, p.dataAt = p.event.push(at)
	p.stored, p.deliveries = 0, nil
	p.result = Published{ID: p.event.ID}
}

// keep takes the delivery that was stored for a subscription, by its index.
func (p *publication) keep(i int, id int64) {
	p.stored++
	if p.reserved[i] {
		p.deliveries[i] = &delivery.Delivery{
			ID: id, Subscription: p.matching[i].Subscription, Since: p.message.Published, Message: p.message,
		}
	}
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
	engine.Offer(p.matching, len(p.message.Body), p.reserved, deliveries)
	p.reserved = nil
}
