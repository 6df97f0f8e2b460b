package delivery

import (
	"container/heap"
	"time"

	"go.uber.org/zap"
)

// clockSlack is how far the database's clock may be behind without being asked
// in a loop.
const clockSlack = 100 * time.Millisecond

// All functions here are called with e.mu held, but for refill's and attempt's
// own goroutines.

// queue returns a subscription's queue, a new one if need be.
func (e *Engine) queue(of Recipient) *queue {
	q := e.queues[of.Subscription]
	if q == nil {
		q = &queue{id: of.Subscription, ordered: of.Ordered, index: -1}
		e.queues[of.Subscription] = q
	}
	return q
}

func (e *Engine) forgetIdle(q *queue) {
	if q.isIdle() && e.queues[q.id] == q {
		delete(e.queues, q.id)
	}
}

// advance puts a queue in line for a slot, has the store asked where it runs
// dry, and forgets it where nothing is left.
func (e *Engine) advance(q *queue) {
	if !e.running {
		return
	}
	if len(q.items) > 0 && !q.inRing && q.inFlight < e.slots(q) {
		q.inRing = true
		e.ring = append(e.ring, q)
	}
	if len(q.items) <= heldPerQueue/2 && q.isDue(time.Now()) {
		e.refill(q)
	}
	e.forgetIdle(q)
}

// wakeAt has the store asked for a queue's deliveries at a time, or earlier if
// that is planned already.
func (e *Engine) wakeAt(q *queue, at time.Time) {
	if at.Before(q.paused) {
		at = q.paused
	}
	if e.running && (q.due.IsZero() || at.Before(q.due)) {
		e.wakeups.set(q, at)
	}
}

// park takes what a queue has in memory out of it. The caller gives it back to
// the store.
func (e *Engine) park(q *queue) []*Delivery {
	items := q.items
	q.items = nil
	e.held -= len(items)
	return items
}

// slots is how many attempts a queue may have under way.
func (e *Engine) slots(q *queue) int {
	if q.ordered {
		return 1
	}
	return e.PerSubscription
}

// dispatch gives free slots to the queues in line, in turn.
func (e *Engine) dispatch() {
	for e.running && e.inFlight < e.InFlight && len(e.ring) > 0 {
		q := e.ring[0]
		e.ring[0] = nil
		e.ring = e.ring[1:]
		q.inRing = false
		if len(q.items) == 0 || q.inFlight >= e.slots(q) {
			continue
		}
		d := q.pop()
		q.inFlight++
		e.inFlight++
		e.tasks.Go(func() { e.attempt(q, d) })
		e.advance(q)
	}
}

// wake runs when the timer fires.
func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wakeDue()
	e.dispatch()
}

// wakeDue asks the store for what is due, and sets the timer for what will be.
func (e *Engine) wakeDue() {
	now := time.Now()
	for e.running && len(e.wakeups) > 0 && !e.wakeups[0].due.After(now) {
		q := heap.Pop(&e.wakeups).(*queue)
		e.advance(q)
	}
	if e.running && len(e.wakeups) > 0 {
		e.timer.Reset(time.Until(e.wakeups[0].due))
	}
}

// refill asks the store for deliveries of a queue that are due.
func (e *Engine) refill(q *queue) {
	room := min(heldPerQueue-len(q.items)-q.reserved, e.Held-e.held)
	if q.refilling || room <= 0 {
		return // asked again when one of its own has ended
	}
	q.refilling = true
	e.wakeups.set(q, time.Time{})
	e.held += room
	e.tasks.Go(func() {
		claimed, next, err := e.claim(q, room)
		e.mu.Lock()
		defer e.mu.Unlock()
		q.refilling = false
		e.held -= room - len(claimed)
		soon := time.Now().Add(clockSlack)
		switch {
		case err != nil:
			if e.ctx.Err() == nil {
				e.Logger.Error("taking up deliveries failed", zap.String("subscription", q.id), zap.Error(err))
			}
			next = time.Now().Add(storeRetry)
		case len(claimed) == 0 && !next.IsZero() && next.Before(soon):
			next = soon // by the database's clock it is not due yet
		}
		if !e.running || q.paused.After(time.Now()) {
			e.held -= len(claimed)
			e.tasks.Go(func() { e.giveBack(claimed) })
			e.forgetIdle(q)
			return
		}
		q.items = append(q.items, claimed...)
		if !next.IsZero() {
			e.wakeAt(q, next)
		}
		e.advance(q)
		e.dispatch()
		e.wakeDue()
	})
}

// claim asks the store, unless the subscription is paused or has ended.
func (e *Engine) claim(q *queue, room int) ([]*Delivery, time.Time, error) {
	target, err := e.targetOf(q)
	if err != nil || target == nil {
		return nil, time.Time{}, err
	}
	return e.Store.Claim(e.ctx, q.id, target.Ordered, room)
}
