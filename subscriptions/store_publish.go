package subscriptions

import (
	"context"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// Publish stores events and a delivery for each subscription that matches, and
// has them sent. When it returns without an error, all of them are durable. Each
// event is in one transaction with all of its deliveries, and so are those of a
// request that are not for many subscriptions. An event whose id is known is not
// stored again.
func (s *Store) Publish(ctx context.Context, events []Event) ([]Published, error) {
	if err := s.db.Ready(); err != nil {
		return nil, err
	}
	sub := &submission{batch: make([]publication, len(events)), done: make(chan error, 1)}
	for i, event := range events {
		sub.batch[i].event = event
	}
	err := s.batcher.submit(ctx, s, sub)
	if errors.Is(err, errLarge) {
		err = s.publishAlone(ctx, sub.events())
	}
	if err != nil {
		return nil, err
	}
	published := make([]Published, len(events))
	for i := range sub.batch {
		published[i] = sub.batch[i].result
	}
	return published, nil
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
