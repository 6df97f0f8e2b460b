package delivery

import "time"

// Reserve says for which of the recipients memory has room for a delivery of
// the given size that is about to be committed. The others are committed without
// a lease. Offer must follow with the same recipients and size.
func (e *Engine) Reserve(recipients []Recipient, size int) []bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	reserved := make([]bool, len(recipients))
	for i, to := range recipients {
		if !e.running || !e.resumed || !e.Home(to.Subscription) {
			continue
		}
		q := e.queue(to)
		if q.target == nil {
			q.ordered = to.Ordered
			q.setRate(to.Rate)
		}
		if q.isBehind(now) || !e.hasRoom(q, overhead+size) {
			continue
		}
		q.reserved++
		e.hold(q, 1, overhead+size)
		reserved[i] = true
	}
	return reserved
}

// Offer takes over what has been committed: the deliveries that this node has
// leased, and nil for the others, which the store has; or nil for all, where
// nothing was committed. One of an ordered subscription must not be leased, even
// if there is room, while others before it are not this node's.
func (e *Engine) Offer(recipients []Recipient, size int, reserved []bool, deliveries []*Delivery) {
	e.mu.Lock()
	var away []string // those that another node sends
	now := time.Now()
	for i, to := range recipients {
		if deliveries != nil && !reserved[i] && !e.Home(to.Subscription) {
			away = append(away, to.Subscription)
			continue
		}
		q := e.queue(to)
		if reserved[i] {
			q.reserved--
			e.hold(q, -1, -overhead-size)
		}
		switch {
		case deliveries == nil:
		case deliveries[i] != nil:
			e.keep(q, e.resumed && !q.isOpen() && !(q.ordered && q.isBehind(now)), deliveries[i])
		case e.Home(to.Subscription):
			e.wakeAt(q, now)
		default:
			away = append(away, to.Subscription)
		}
		e.advance(q)
	}
	e.settle()
	e.mu.Unlock()
	if away != nil {
		e.Tell(away)
	}
}
