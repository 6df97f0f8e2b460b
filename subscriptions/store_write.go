package subscriptions

import (
	"context"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// writeBatch stores events and their deliveries. It may be called again, in
// another transaction.
func (s *Store) writeBatch(ctx context.Context, tx *datastore.Tx, batch []*publication) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	at := time.UnixMicro(now)
	first := make(map[string]*publication, len(batch)) // by the event's id
	var fresh, repeated []*publication
	for _, p := range batch {
		p.prepare(s.engine, at)
		if first[p.event.ID] != nil { // of a request that was repeated at once
			repeated = append(repeated, p)
			continue
		}
		first[p.event.ID] = p
		fresh = append(fresh, p)
	}
	if fresh, err = insertEvents[tx.Dialect()](ctx, tx, fresh, now); err != nil {
		return err
	}
	for _, p := range fresh {
		if len(p.matching) > 0 {
			p.reserved = s.engine.Reserve(p.matching, len(p.message.Body))
			p.deliveries = make([]*delivery.Delivery, len(p.matching))
		}
	}
	if err := insertDeliveries[tx.Dialect()](ctx, tx, fresh, s.engine.Node, now); err != nil {
		return err
	}
	for _, p := range fresh {
		if p.result.Deliveries = p.stored; p.stored == len(p.matching) {
			continue
		}
		// one was deleted, or has ended, since it was found
		if _, err := tx.Exec(ctx, "UPDATE connector_events SET deliveries = $1 WHERE id = $2", p.stored, p.event.ID); err != nil {
			return err
		}
	}
	for _, p := range repeated {
		p.result.Duplicate, p.result.Deliveries = true, first[p.event.ID].result.Deliveries
	}
	return nil
}
