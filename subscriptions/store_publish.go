package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
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

// querier is a database, or a transaction in it.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// interest is what subscriptions to a resource have in common for events:
// the resource's id, the owner, and the resource's type; the latter two may be "".
type interest [3]string

// interests are those that an event is for. The edge's own events are also for
// subscriptions to all resources of their kind.
func (e Event) interests() []interest {
	wanted := []interest{{e.ResourceID, e.AccountID, e.ResourceType}}
	if isReserved(e.ResourceType) {
		wanted = append(wanted, interest{allResources, e.AccountID, e.ResourceType})
	}
	return wanted
}

// findCandidates is of a JSON array of interests, each of which is a number in
// the result.
var findCandidates = map[datastore.Dialect]string{
	datastore.SQLite: findCandidatesOf("json_each($1) AS k CROSS JOIN connector_subscriptions", "k.key"),
	// the resources' ids stand there once more: of a join alone PostgreSQL may
	// think that it finds most of the table, and read all of it
	datastore.PostgreSQL: findCandidatesOf("json_array_elements($1::json) WITH ORDINALITY AS k (value, n) JOIN connector_subscriptions", "k.n - 1") +
		" AND s.resource_id = ANY($3::text[])",
}

func findCandidatesOf(from, number string) string {
	return "SELECT " + number + ", s.id, s.events, s.ordered, coalesce(s.rate_limit, 0), coalesce(s.filter, '') FROM " + from + ` AS s
		ON s.resource_id = k.value ->> 0
		WHERE s.status <> 'ended' AND (k.value ->> 1 = '' OR s.owner = k.value ->> 1) AND (s.expires_at IS NULL OR s.expires_at > $2)
			AND (s.resource_type = k.value ->> 2 OR k.value ->> 2 = '' AND s.resource_type NOT IN ('` + reservedResource + `', '` + connectionResource + `'))`
}

// candidate is a subscription to the resource of an event.
type candidate struct {
	delivery.Recipient
	events []string
	filter string // "" for none
}

// match finds the subscriptions that events are for. Events of the same resource
// share what is found.
func match(ctx context.Context, on querier, dialect datastore.Dialect, batch []*publication) error {
	numbers := make(map[interest]int, len(batch))
	var wanted []interest
	for _, p := range batch {
		for _, one := range p.event.interests() {
			if _, known := numbers[one]; !known {
				numbers[one] = len(wanted)
				wanted = append(wanted, one)
			}
		}
	}
	found, err := candidates(ctx, on, dialect, wanted)
	if err != nil {
		return err
	}
	for _, p := range batch {
		p.matching = nil
		filtered := filtering{data: p.event.Data}
		for _, one := range p.event.interests() {
			for _, c := range found[numbers[one]] {
				if !eventtype.MatchAny(c.events, p.event.Type) {
					continue
				}
				if wants, err := filtered.wants(c.filter); err != nil {
					return err
				} else if wants {
					p.matching = append(p.matching, c.Recipient)
				}
			}
		}
	}
	return nil
}

// resources are the ids of the resources that are wanted, each once.
func resources(wanted []interest) (ids []string) {
	for _, one := range wanted {
		ids = append(ids, one[0])
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func candidates(ctx context.Context, on querier, dialect datastore.Dialect, wanted []interest) ([][]candidate, error) {
	encoded, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	args := []any{string(encoded), micros(time.Now())}
	if dialect == datastore.PostgreSQL {
		args = append(args, resources(wanted))
	}
	rows, err := on.Query(ctx, findCandidates[dialect], args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make([][]candidate, len(wanted))
	for rows.Next() {
		var number int
		var c candidate
		var patterns string
		if err := rows.Scan(&number, &c.Subscription, &patterns, &c.Ordered, &c.Rate, &c.filter); err != nil {
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
	stored     int // deliveries
	reserved   []bool
	deliveries []*delivery.Delivery // by the index of matching; nil where the store has it
	result     Published
}

// prepare begins anew with a transaction.
func (p *publication) prepare(engine *delivery.Engine, at time.Time) {
	p.settle(engine, false)
	p.message = &delivery.Message{EventID: p.event.ID, Published: at, Traceparent: p.event.Traceparent}
	p.message.Body, p.message.DataAt = p.event.push(at)
	p.stored, p.deliveries = 0, nil
	p.result = Published{ID: p.event.ID}
}

// keep takes the delivery that was stored for a subscription, by its index.
func (p *publication) keep(i int, id int64, leased bool) {
	p.stored++
	if leased {
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
	for i, to := range p.matching {
		if committed && p.reserved[i] && deliveries[i] == nil { // it must wait for others
			engine.Look(to.Subscription)
		}
	}
	p.reserved = nil
}
