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
		e.targets.restore(q, time.Now())
	}
	return q
}

func (e *Engine) forgetIdle(q *queue) {
	if q.isIdle() && e.queues[q.id] == q {
		e.wakeups.set(q, time.Time{})
		delete(e.queues, q.id)
		e.targets.keep(q, time.Now())
	}
}

// advance puts a queue in line for a slot, has the store asked where it runs
// dry, plans when it is looked at again, and forgets it where nothing is left.
func (e *Engine) advance(q *queue) {
	if !e.running {
		return
	}
	now := time.Now()
	limited := q.limitedFor(now)
	if len(q.items) > 0 && !q.inRing && q.inFlight < e.slots(q) && limited == 0 {
		q.inRing = true
		e.line(q).push(q)
	}
	if probing := q.isOpen() && q.inFlight > 0; len(q.items) <= heldPerQueue/2 && q.isDue(now) && !probing {
		e.refill(q)
	}
	e.plan(q, now, limited)
	e.forgetIdle(q)
}

// plan sets when a queue is looked at again, if nothing else comes before.
func (e *Engine) plan(q *queue, now time.Time, limited time.Duration) {
	var at time.Time
	if len(q.items) > 0 && limited > 0 {
		at = now.Add(limited)
	}
	if next := q.due; !next.IsZero() && !q.isDue(now) {
		if next.Before(q.paused) {
			next = q.paused
		}
		if at.IsZero() || next.Before(at) {
			at = next
		}
	}
	e.wakeups.set(q, at)
}

// wakeAt has the store asked for a queue's deliveries at a time, or earlier if
// that is planned already.
func (e *Engine) wakeAt(q *queue, at time.Time) {
	if !e.running {
		return
	}
	if q.due.IsZero() || at.Before(q.due) {
		q.due = at
	}
	next := q.due
	if next.Before(q.paused) {
		next = q.paused
	}
	if q.wakeup.IsZero() || next.Before(q.wakeup) {
		e.wakeups.set(q, next)
	}
}

// slots is how many attempts a queue may have under way.
func (e *Engine) slots(q *queue) int {
	if q.ordered || q.isOpen() {
		return 1
	}
	return e.PerSubscription
}

// line returns where a queue stands in line.
func (e *Engine) line(q *queue) *ring {
	if q.failures > 0 {
		return &e.failing
	}
	return &e.healthy
}

// next takes the queue whose turn it is, or nil. Endpoints that fail have a
// share of the slots: many that hang cannot take those of the others.
func (e *Engine) next() *queue {
	e.failingFirst = !e.failingFirst
	if e.failingFirst && e.lateInFlight < max(1, e.InFlight/4) {
		if q := e.failing.pop(); q != nil {
			return q
		}
	}
	if q := e.healthy.pop(); q != nil {
		return q
	}
	if e.lateInFlight < max(1, e.InFlight/4) {
		return e.failing.pop()
	}
	return nil
}

// dispatch gives free slots to the queues in line.
func (e *Engine) dispatch() {
	for e.running && e.inFlight < e.InFlight {
		q := e.next()
		if q == nil {
			return
		}
		q.inRing = false
		now := time.Now()
		if len(q.items) == 0 || q.inFlight >= e.slots(q) {
			continue
		}
		if late := q.failures > 0; late && e.lateInFlight >= max(1, e.InFlight/4) || q.limitedFor(now) > 0 {
			e.advance(q) // it has begun to fail while it stood in line, or was fast
			continue
		}
		if q.limiter != nil {
			q.limiter.AllowN(now, 1)
		}
		e.begin(q, q.pop())
		e.advance(q)
	}
}

// begin makes an attempt.
func (e *Engine) begin(q *queue, d *Delivery) {
	q.inFlight++
	e.inFlight++
	if d.late = q.failures > 0; d.late {
		e.lateInFlight++
	}
	e.tasks.Go(func() { e.attempt(q, d) })
}

// freeSlot ends an attempt of q.
func (e *Engine) freeSlot(q *queue, d *Delivery) {
	q.inFlight--
	e.inFlight--
	if d.late {
		e.lateInFlight--
	}
	e.advance(q)
	e.dispatch()
	e.wakeDue()
}

// wake runs when the timer fires.
func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wakeDue()
	e.dispatch()
}

// wakeDue looks at the queues that have something to do now, and sets the timer
// for the others.
func (e *Engine) wakeDue() {
	e.feed()
	now := time.Now()
	for e.running && len(e.wakeups) > 0 && !e.wakeups[0].wakeup.After(now) {
		q := heap.Pop(&e.wakeups).(*queue)
		q.wakeup = time.Time{}
		e.advance(q)
	}
	if e.running && len(e.wakeups) > 0 {
		e.timer.Reset(time.Until(e.wakeups[0].wakeup))
	}
}

// refill asks the store for deliveries of a queue that are due.
func (e *Engine) refill(q *queue) {
	switch {
	case q.refilling:
		return
	case !e.Home(q.id):
		q.due = time.Time{}
		return
	}
	room := e.room(q)
	if room <= 0 {
		if len(q.items) == 0 && q.inFlight == 0 && !q.hungry { // else it is asked again when one of its own has ended
			q.hungry = true
			e.hungry = append(e.hungry, q)
		}
		return
	}
	limit := Limit{Deliveries: room, Bytes: min(e.HeldBytes-e.heldBytes, e.HeldBytes/64)}
	q.refilling = true
	q.due = time.Time{}
	e.hold(room, limit.Bytes)
	e.tasks.Go(func() {
		claimed, next, err := e.claim(q, limit)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.hold(-room, -limit.Bytes)
		e.refilled(q, claimed, next, err)
	})
}

// refilled takes what the store gave, and when it has more.
func (e *Engine) refilled(q *queue, claimed []*Delivery, next time.Time, err error) {
	q.refilling = false
	now := time.Now()
	soon := now.Add(clockSlack)
	switch {
	case err != nil:
		if e.ctx.Err() == nil {
			e.Logger.Error("taking up deliveries failed", zap.String("subscription", q.id), zap.Error(err))
		}
		next = now.Add(storeRetry)
	case len(claimed) == 0 && !next.IsZero() && next.Before(soon):
		next = soon // by the database's clock it is not due yet
	}
	if len(claimed) > 0 && (!e.running || q.paused.After(now)) {
		e.tasks.Go(func() { e.giveBack(claimed) })
		claimed = nil
	}
	e.keep(q, claimed...)
	if !next.IsZero() {
		e.wakeAt(q, next)
	}
	e.advance(q)
	e.forgetIdle(q)
	e.dispatch()
	e.wakeDue()
}

// claim asks the store, unless the subscription is paused or has ended.
func (e *Engine) claim(q *queue, limit Limit) ([]*Delivery, time.Time, error) {
	target, err := e.targetOf(q)
	if err != nil || target == nil {
		return nil, time.Time{}, err
	}
	return e.Store.Claim(e.ctx, q.id, target.Ordered, limit)
}
