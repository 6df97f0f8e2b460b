package subscriptions

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

const (
	batchEvents  = 256                    // that share a transaction; one request may have more
	batchLinger  = 500 * time.Microsecond // to wait for those that come back from the batch before
	batchTimeout = 30 * time.Second
)

// batcher has publishers share transactions: the requests that come while one is
// under way share the next, and so its statements and its commit. A statement
// for each of them would cost a server a round trip, and SQLite a turn.
type batcher struct {
	mu      sync.Mutex
	waiting []*submission
	leading bool
}

// submission is the events of one request.
type submission struct {
	batch []publication
	done  chan error
}

// submit publishes a request's events along with others'. If the context ends,
// they may be published all the same.
func (b *batcher) submit(ctx context.Context, s *Store, sub *submission) error {
	b.mu.Lock()
	b.waiting = append(b.waiting, sub)
	if !b.leading {
		b.leading = true
		go b.lead(s)
	}
	b.mu.Unlock()
	select {
	case err := <-sub.done:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	b.waiting = slices.DeleteFunc(b.waiting, func(other *submission) bool { return other == sub })
	b.mu.Unlock()
	return ctx.Err()
}

// lead publishes batches until nobody waits.
func (b *batcher) lead(s *Store) {
	for last := 0; ; {
		subs := b.take(last)
		if subs == nil {
			return
		}
		last = len(subs)
		s.publishTogether(subs)
	}
}

// take returns the next batch, nil where there is none. It waits a little for as
// many as there were in the last.
func (b *batcher) take(last int) []*submission {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last > 1 && len(b.waiting) < last {
		b.mu.Unlock()
		time.Sleep(batchLinger)
		b.mu.Lock()
	}
	if len(b.waiting) == 0 {
		b.leading = false
		return nil
	}
	n, events := 0, 0
	for n < len(b.waiting) && (n == 0 || events+len(b.waiting[n].batch) <= batchEvents) {
		events += len(b.waiting[n].batch)
		n++
	}
	taken := b.waiting[:n:n]
	b.waiting = slices.Clone(b.waiting[n:])
	return taken
}

// publishTogether publishes requests in one transaction. If that fails, each has
// its own: nobody's events are refused for somebody else's.
func (s *Store) publishTogether(subs []*submission) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	err := s.publishBatch(ctx, subs)
	if err == nil || len(subs) == 1 || errors.Is(err, datastore.ErrNotReady) || ctx.Err() != nil {
		for _, sub := range subs {
			sub.done <- err
		}
		return
	}
	for _, sub := range subs {
		sub.done <- s.publishBatch(ctx, []*submission{sub})
	}
}

func (s *Store) publishBatch(ctx context.Context, subs []*submission) error {
	var batch []*publication
	for _, sub := range subs {
		for i := range sub.batch {
			batch = append(batch, &sub.batch[i])
		}
	}
	if err := s.match(ctx, batch); err != nil {
		return err
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error { return s.writeBatch(ctx, tx, batch) })
	for _, p := range batch {
		p.settle(s.engine, err == nil)
	}
	return err
}

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
		// one was deleted since it was found
		if _, err := tx.Exec(ctx, "UPDATE connector_events SET deliveries = $1 WHERE id = $2", p.stored, p.event.ID); err != nil {
			return err
		}
	}
	for _, p := range repeated {
		p.result.Duplicate, p.result.Deliveries = true, first[p.event.ID].result.Deliveries
	}
	return nil
}
