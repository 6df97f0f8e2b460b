package delivery

// heldPerQueue is how many deliveries of one subscription memory holds at most.
const heldPerQueue = 256

// freeShare is the part of the memory that is free that one queue may take. As
// memory fills, all queues are held to less, so that endpoints that hang cannot
// take what the others need.
const freeShare = 8

// All functions here are called with e.mu held.

// hold counts deliveries in memory, or out of it.
func (e *Engine) hold(deliveries, size int) {
	e.held += deliveries
	e.heldBytes += size
}

// drop counts deliveries out of memory.
func (e *Engine) drop(deliveries ...*Delivery) {
	for _, d := range deliveries {
		e.hold(-1, -d.size())
	}
}

// keep puts deliveries at the end of a queue.
func (e *Engine) keep(q *queue, deliveries ...*Delivery) {
	for _, d := range deliveries {
		e.hold(1, d.size())
	}
	q.items = append(q.items, deliveries...)
}

// park takes what a queue has in memory out of it. The caller gives it back to
// the store.
func (e *Engine) park(q *queue) []*Delivery {
	items := q.items
	q.items = nil
	e.drop(items...)
	return items
}

// room returns how many more deliveries a queue may have in memory.
func (e *Engine) room(q *queue) int {
	free := e.Held - e.held
	if free <= 0 || e.heldBytes >= e.HeldBytes {
		return 0
	}
	limit := min(heldPerQueue, max(e.PerSubscription, free/freeShare))
	if q.isOpen() {
		limit = 1
	}
	return min(free, limit-len(q.items)-q.reserved)
}

// feed has the store asked for the queues that waited for memory, in turn.
func (e *Engine) feed() {
	for n := len(e.hungry); e.running && n > 0 && e.held < e.Held && e.heldBytes < e.HeldBytes; n-- {
		q := e.hungry[0]
		e.hungry[0] = nil
		e.hungry = e.hungry[1:]
		q.hungry = false
		e.advance(q)
	}
}
