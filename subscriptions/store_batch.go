package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
)

const (
	batchEvents  = 256                    // that share a transaction; one request may have more
	batchLinger  = 500 * time.Microsecond // to wait for those that come back from the batch before
	batchTimeout = 30 * time.Second

	maxTogether = 2000 // deliveries that a transaction inserts, if not of one event
	maxShared   = 500  // subscriptions that the events of a request may be for to share a transaction
	maxAlone    = 2    // larger requests that are published at a time
)

// batcher has publishers share transactions: the requests that come while one is
// under way share the next, and so its statements and its commit. A statement
// for each of them would cost a server a round trip, and SQLite a turn.
type batcher struct {
	mu      sync.Mutex
	waiting []*submission
	leading bool

	alone chan struct{} // one for each large request that is published now
}

func newBatcher() *batcher { return &batcher{alone: make(chan struct{}, maxAlone)} }

// submission is the events of one request.
type submission struct {
	batch []publication
	done  chan error // has room for one
}

func (sub *submission) events() []*publication {
	events := make([]*publication, len(sub.batch))
	for i := range sub.batch {
		events[i] = &sub.batch[i]
	}
	return events
}

func eventsOfAll(subs []*submission) (events []*publication) {
	for _, sub := range subs {
		events = append(events, sub.events()...)
	}
	return events
}

// match finds the subscriptions that the events are for, and how many deliveries
// they come to.
func (sub *submission) match(found *fanOut) (deliveries int, err error) {
	for i := range sub.batch {
		if err := found.match(&sub.batch[i]); err != nil {
			return 0, err
		}
		deliveries += len(sub.batch[i].matching)
	}
	return deliveries, nil
}

// end tells what came of the request, if that was not told before.
func (sub *submission) end(err error) {
	select {
	case sub.done <- err:
	default:
	}
}

func end(subs []*submission, err error) {
	for _, sub := range subs {
		sub.end(err)
	}
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
		s.publishOrFail(subs)
	}
}

// errPanicked is the outcome of requests in whose midst something panicked.
var errPanicked = errors.New("publishing panicked")

// publishOrFail is publishTogether for the leader, who must not end the process.
// What a panic says may be a part of a request, and is not logged.
func (s *Store) publishOrFail(subs []*submission) {
	defer func() {
		if found := recover(); found != nil {
			s.engine.Logger.Error("publishing panicked", zap.String("kind", fmt.Sprintf("%T", found)), zap.Stack("stack"))
			end(subs, errPanicked)
		}
	}()
	s.publishTogether(subs)
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

// publishTogether publishes requests in as few transactions as their size
// allows. Those that may be for many subscriptions have to be published alone.
func (s *Store) publishTogether(subs []*submission) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	for len(subs) > 0 {
		found, err := fanOutOf(ctx, s.db, s.db.Dialect(), eventsOfAll(subs), maxCandidates)
		if err != nil {
			end(subs, err)
			return
		}
		subs = subs[s.publishFound(ctx, found, subs):]
	}
}

// publishFound publishes the first of some requests, at least one, and returns
// how many those are: of the others not all subscriptions are known.
func (s *Store) publishFound(ctx context.Context, found *fanOut, subs []*submission) (n int) {
	var together []*submission
	deliveries := 0
	for ; n < len(subs); n++ {
		sub := subs[n]
		reach, known := found.reach(sub.events())
		if !known && reach <= maxShared && n > 0 {
			break
		}
		if !known || reach > maxShared {
			sub.end(errLarge)
			continue
		}
		matching, err := sub.match(found)
		if err != nil {
			sub.end(err)
			continue
		}
		if deliveries += matching; deliveries > maxTogether {
			s.commitTogether(ctx, together)
			together, deliveries = nil, matching
		}
		together = append(together, sub)
	}
	s.commitTogether(ctx, together)
	return n
}

// commitTogether commits requests in one transaction. If that fails, each has
// its own: nobody's events are refused for somebody else's.
func (s *Store) commitTogether(ctx context.Context, subs []*submission) {
	err := s.commit(ctx, eventsOfAll(subs))
	if err == nil || len(subs) == 1 || errors.Is(err, datastore.ErrNotReady) || ctx.Err() != nil {
		end(subs, err)
		return
	}
	for _, sub := range subs {
		sub.end(s.commit(ctx, sub.events()))
	}
}

// commit publishes events whose subscriptions are known.
func (s *Store) commit(ctx context.Context, batch []*publication) error {
	if len(batch) == 0 {
		return nil
	}
	committed := false
	defer func() { // also where it panics
		for _, p := range batch {
			p.settle(s.engine, committed)
			if !committed {
				s.recall(p)
			}
		}
	}()
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error { return s.writeBatch(ctx, tx, batch) })
	committed = err == nil
	return err
}

// recall gives back what is leased to this node if the connection was lost in the
// midst of a commit that a server has carried out all the same: a publisher who
// comes again is told that the event is known, and nobody here would send it.
// With SQLite a commit that fails is none.
func (s *Store) recall(p *publication) {
	if s.db.Dialect() == datastore.PostgreSQL {
		s.engine.Recall(p.deliveries)
	}
	p.deliveries = nil
}
