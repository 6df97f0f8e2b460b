package delivery

import (
	"container/heap"
	"time"
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

// forgetIdle forgets a queue that is idle, when its pause and its rate allow.
func (e *Engine) forgetIdle(q *queue, now time.Time) {
	if q.isIdle() && !(e.running && q.rests(now).After(now)) && e.queues[q.id] == q {
		e.wakeups.set(q, time.Time{})
		delete(e.queues, q.id)
	}
}

// advance puts a queue in line for a slot, has the store asked where it runs
// dry, plans when it is looked at again, and forgets it where nothing is left.
func (e *Engine) advance(q *queue) {
	now := time.Now()
	if !e.running {
		e.forgetIdle(q, now)
		return
	}
	limited := q.limitedFor(now)
	if e.isReady(q) && limited == 0 {
		e.lineUp(q)
	} else {
		q.leaveLine()
	}
	if probing := q.isOpen() && q.inFlight > 0; e.runsDry(q) && q.isDue(now) && !probing {
		e.refill(q)
	}
	e.plan(q, now, limited)
	e.forgetIdle(q, now)
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
	if rested := q.rests(now); at.IsZero() && rested.After(now) {
		at = rested // to be forgotten
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

// isReady reports whether a queue could make an attempt, if its rate allows.
func (e *Engine) isReady(q *queue) bool { return len(q.items) > 0 && q.inFlight < e.slots(q) }

// slots is how many attempts a queue may have under way.
func (e *Engine) slots(q *queue) int {
	if q.ordered || q.isOpen() {
		return 1
	}
	return e.PerSubscription
}

// begin makes an attempt.
func (e *Engine) begin(q *queue, d *Delivery) {
	q.inFlight++
	e.inFlight++
	if d.late = q.failures > 0; d.late {
		e.lateInFlight++
	}
	d.probe, d.ordered, d.version = q.isOpen(), q.ordered, q.version
	e.assign(work{q, d})
}

// freeSlot ends an attempt of q.
func (e *Engine) freeSlot(q *queue, d *Delivery) {
	q.inFlight--
	e.inFlight--
	if d.late {
		e.lateInFlight--
	}
	e.advance(q)
	e.settle()
}

// wake runs when the timer fires.
func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle()
}

// settle has everything done that can be done now, and sets the timer for the
// rest. Whatever changes something ends with it.
func (e *Engine) settle() {
	e.feed()
	e.wakeDue()
	e.dispatch()
	if e.running && len(e.wakeups) > 0 {
		e.timer.Reset(time.Until(e.wakeups[0].wakeup))
	}
}

// wakeDue looks at the queues that have something to do now.
func (e *Engine) wakeDue() {
	now := time.Now()
	for e.running && len(e.wakeups) > 0 && !e.wakeups[0].wakeup.After(now) {
		q := heap.Pop(&e.wakeups).(*queue)
		q.wakeup = time.Time{}
		e.advance(q)
	}
}

// refill asks the store for deliveries of a queue that are due.
func (e *Engine) refill(q *queue) {
	switch {
	case q.refilling || q.returning > 0:
		return
	case !e.Home(q.id):
		q.due = time.Time{}
		id := q.id
		e.tasks.Go(func() { e.Tell([]string{id}) })
		return
	}
	q.grow()
	limit, size, ok := e.claimable(q)
	if !ok {
		if q.heldBytes == 0 && !q.hungry { // else it is asked again when one of its own has ended
			q.hungry = true
			e.hungry = append(e.hungry, q)
		}
		return
	}
	q.refilling = true
	q.due = time.Time{}
	e.hold(q, limit.Deliveries, size)
	returns := q.returns
	e.tasks.Go(func() {
		claimed, next, err := e.claim(q, limit)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.hold(q, -limit.Deliveries, -size)
		overtakes := q.ordered && q.returns != returns // something before it has gone back meanwhile
		e.keep(q, err == nil && !overtakes, claimed...)
		e.refilled(q, len(claimed), next, err)
	})
}

// refilled takes when the store has more.
func (e *Engine) refilled(q *queue, claimed int, next time.Time, err error) {
	q.refilling = false
	now := time.Now()
	soon := now.Add(clockSlack)
	switch {
	case err != nil:
		next = now.Add(e.storeFailed(q, "taking up deliveries failed", err))
	case claimed == 0 && !next.IsZero() && next.Before(soon):
		next = soon // by the database's clock it is not due yet
	}
	if !next.IsZero() {
		e.wakeAt(q, next)
	}
	e.advance(q)
	e.settle()
}

// claim asks the store, unless the subscription is paused or has ended.
func (e *Engine) claim(q *queue, limit Limit) ([]*Delivery, time.Time, error) {
	target, _, _, err := e.targetOf(q)
	if err != nil || target == nil {
		return nil, time.Time{}, err
	}
	return e.Store.Claim(e.ctx, q.id, target.Ordered, limit)
}
