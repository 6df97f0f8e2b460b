package delivery

import (
	"container/list"
	"time"

	"golang.org/x/time/rate"
)

// queue is one subscription's deliveries on this node.
type queue struct {
	id    string
	items []*Delivery // leased to this node, to be sent now, oldest first

	heldBytes int  // of the engine's, those of this queue
	reserved  int  // room for deliveries that are being committed
	returning int  // deliveries that are being given back to the store
	returns   int  // counts what has gone back
	inFlight  int  // attempts that have not ended
	unstored  int  // attempts whose results are not stored
	refilling bool // whether the store is being asked
	hungry    bool // whether it waits for memory
	worked    bool // whether an attempt succeeded since the store was asked
	growth    int  // how often the number that the store is asked for has doubled

	line  *list.List // that it stands in for a slot; nil for none
	place *list.Element

	// due is when the store has a delivery of this queue that nobody has leased;
	// zero if it is not known to have any
	due    time.Time
	wakeup time.Time // when it is looked at again; zero for never
	index  int       // in the heap of wakeups; -1 if it is not there

	paused  time.Time     // until when the endpoint is left alone
	limiter *rate.Limiter // nil: there is no limit

	target    *Target   // nil until it is asked for
	targetSet time.Time // when it was asked for
	version   int       // counts what this node was told about the subscription
	changes   int       // those of them that changed it
	ordered   bool      // as the target last said

	failures     int       // attempts that failed, in a row
	failingSince time.Time // the first of them
	warnings     int       // that the owner had since then
	reported     bool      // whether the store was told that it fails
	untold       bool      // whether the last report was not stored
}

// isIdle reports whether the queue has nothing to do.
func (q *queue) isIdle() bool {
	return len(q.items) == 0 && q.reserved == 0 && q.returning == 0 && q.inFlight == 0 && q.unstored == 0 &&
		!q.refilling && q.due.IsZero()
}

// targetAge is for how long the target of a queue without work is remembered: one
// that gets an event now and then is not looked up for each.
const targetAge = time.Second

// rests returns until when the queue is to be remembered, even if it is idle: for
// its pause, its rate, and its target.
func (q *queue) rests(now time.Time) time.Time {
	rested := now.Add(q.limitedFor(now))
	if rested.Before(q.paused) {
		rested = q.paused
	}
	if known := q.targetSet.Add(targetAge); q.target != nil && rested.Before(known) {
		rested = known
	}
	return rested
}

// isDue reports whether the store has deliveries to be sent now.
func (q *queue) isDue(now time.Time) bool {
	return !q.due.IsZero() && !q.due.After(now) && !q.paused.After(now)
}

// isBehind reports whether what is published now must queue up in the store,
// behind what is there.
func (q *queue) isBehind(now time.Time) bool {
	return q.refilling || q.returning > 0 || q.isOpen() || q.paused.After(now) ||
		!q.due.IsZero() && (q.ordered || !q.due.After(now))
}

// pauseUntil has the endpoint left alone at least until then.
func (q *queue) pauseUntil(then time.Time) {
	if then.After(q.paused) {
		q.paused = then
	}
}

// pop takes the oldest delivery.
func (q *queue) pop() *Delivery {
	d := q.items[0]
	q.items[0] = nil
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil // its array has served
	}
	return d
}

// setRate bounds the attempts in a second; 0 lifts the bound.
func (q *queue) setRate(perSecond int) {
	switch {
	case perSecond == 0:
		q.limiter = nil
	case q.limiter == nil:
		q.limiter = rate.NewLimiter(rate.Limit(perSecond), 1)
	case q.limiter.Limit() != rate.Limit(perSecond):
		q.limiter.SetLimit(rate.Limit(perSecond))
	}
}

// limitedFor returns how long the rate lets no attempt begin.
func (q *queue) limitedFor(now time.Time) time.Duration {
	if q.limiter == nil {
		return 0
	}
	missing := 1 - q.limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Duration(missing/float64(q.limiter.Limit())*float64(time.Second)), time.Microsecond)
}

// setTarget takes what the store says of the subscription.
func (q *queue) setTarget(target *Target) {
	q.target, q.targetSet, q.ordered = target, time.Now(), target.Ordered
	q.setRate(target.Rate)
	if !target.FailingSince.IsZero() { // else a report may be on its way
		q.reported = true
		q.failures = max(q.failures, reportAfter)
		q.failingSince, q.warnings = target.FailingSince, max(q.warnings, target.Warnings)
	}
}

// forgetFailures begins anew.
func (q *queue) forgetFailures() {
	q.failures, q.failingSince, q.warnings, q.reported, q.untold = 0, time.Time{}, 0, false, false
}

// forgetTarget has the store asked for it when it is needed.
func (q *queue) forgetTarget() {
	q.target = nil
	q.version++
}
