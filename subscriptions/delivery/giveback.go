package delivery

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// park takes what a queue has in memory out of it. The caller gives it back to
// the store. e.mu is held.
func (e *Engine) park(q *queue) []*Delivery {
	items := q.items
	q.items = nil
	q.leaveLine()
	q.parked(items)
	return items
}

// parked counts deliveries that are given back. Until they are there, nothing is
// claimed for the queue: what is claimed might be behind them.
func (q *queue) parked(deliveries []*Delivery) {
	if len(deliveries) > 0 {
		q.returning += len(deliveries)
		q.returns++
	}
}

// returnLater is giveBack on its own. e.mu is held.
func (e *Engine) returnLater(parked []*Delivery) {
	if len(parked) == 0 {
		return
	}
	ctx := e.ctx
	if e.running {
		e.tasks.Go(func() { e.giveBack(ctx, parked) })
		return
	}
	go e.giveBack(ctx, parked)
}

// giveBack gives parked deliveries back to the store, however long that is away,
// and has them sent later.
func (e *Engine) giveBack(ctx context.Context, parked []*Delivery) {
	if len(parked) == 0 {
		return
	}
	released := e.release(ctx, parked)
	e.mu.Lock()
	for !released && e.running { // it was started again
		ctx = e.ctx
		e.mu.Unlock()
		released = e.release(ctx, parked)
		e.mu.Lock()
	}
	if !released {
		e.unreleased = append(e.unreleased, parked...)
	}
	var away []string // those that another node sends now
	queues := make(map[*queue]bool)
	for _, d := range parked {
		q := e.queues[d.Subscription]
		q.returning--
		e.drop(q, d)
		queues[q] = true
	}
	for q := range queues {
		if e.Home(q.id) {
			e.wakeAt(q, time.Now())
		} else {
			away = append(away, q.id)
		}
		e.advance(q)
	}
	e.settle()
	e.mu.Unlock()
	if away != nil {
		e.Tell(away)
	}
}

// Recall gives deliveries back that may be leased to this node without its knowing,
// or not be there at all. Those that are nil count for nothing.
func (e *Engine) Recall(deliveries []*Delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range deliveries {
		if d != nil {
			e.keep(e.queue(Recipient{Subscription: d.Subscription}), false, d)
		}
	}
}

// release ends the leases of deliveries, and reports whether it could before the
// context ended.
func (e *Engine) release(ctx context.Context, deliveries []*Delivery) bool {
	for {
		err := e.Store.Release(context.WithoutCancel(ctx), deliveries)
		if err == nil {
			return true
		}
		e.Logger.Error("giving deliveries back failed", zap.Error(err), zap.Int("deliveries", len(deliveries)))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(storeRetry):
		}
	}
}

// releaseOld ends the leases that were left when the engine was stopped. e.mu is
// held, but not while the store is asked.
func (e *Engine) releaseOld(ctx context.Context) error {
	for len(e.unreleased) > 0 {
		old := e.unreleased
		e.unreleased = nil
		e.mu.Unlock()
		err := e.Store.Release(ctx, old)
		e.mu.Lock()
		if err != nil {
			e.unreleased = append(e.unreleased, old...)
			return err
		}
	}
	return nil
}
