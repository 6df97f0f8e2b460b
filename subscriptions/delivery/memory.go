package delivery

import "time"

// heldPerQueue is how many deliveries of one subscription memory holds at most.
const heldPerQueue = 256

// One queue may take these parts of the memory that is free, by number and by
// bytes. The last quarter is for those that have little, and the last eighth for
// those that have nothing, so that endpoints that hang cannot take what the
// others need.
const (
	freeShare      = 8
	freeBytesShare = 32
)

// refillShare is the part of all memory that is kept free for what the store is
// asked for, whose size is not known before it is there. A delivery that is
// larger counts when it is there.
const refillShare = 64

// All functions here are called with e.mu held.

// hold counts deliveries of a queue in memory, or out of it.
func (e *Engine) hold(q *queue, deliveries, size int) {
	e.held += deliveries
	e.heldBytes += size
	q.heldBytes += size
}

// drop counts deliveries out of memory.
func (e *Engine) drop(q *queue, deliveries ...*Delivery) {
	for _, d := range deliveries {
		e.hold(q, -1, -d.size())
	}
}

// keep puts deliveries at the end of a queue, or has those given back that must
// not be sent now.
func (e *Engine) keep(q *queue, sendable bool, deliveries ...*Delivery) {
	for _, d := range deliveries {
		e.hold(q, 1, d.size())
	}
	if sendable && e.running && e.Home(q.id) && !q.paused.After(time.Now()) {
		q.items = append(q.items, deliveries...)
		return
	}
	q.parked(deliveries)
	e.returnLater(deliveries)
}

// share returns how much of one kind of memory a queue may have.
func share(free, total, most, little int) int {
	switch {
	case free > total/4:
		return max(most, little)
	case free > total/8:
		return little
	default:
		return 0
	}
}

// room returns how many more deliveries a queue may have in memory, and bytes;
// of the latter at least some for one that has nothing.
func (e *Engine) room(q *queue) (deliveries, bytes int) {
	free, freeBytes := e.Held-e.held, e.HeldBytes-e.heldBytes
	deliveries = share(free, e.Held, min(heldPerQueue, free/freeShare), e.PerSubscription)
	bytes = share(freeBytes, e.HeldBytes, freeBytes/freeBytesShare, e.HeldBytes/256) - q.heldBytes
	if q.heldBytes == 0 { // one delivery, however little is free
		deliveries, bytes = max(deliveries, 1), max(bytes, 1)
	}
	if q.isOpen() {
		deliveries = 1
	}
	return min(free, deliveries-len(q.items)-q.reserved), bytes
}

// hasRoom reports whether there is room for a delivery of a known size. It
// leaves some for the queues that wait for what the store has.
func (e *Engine) hasRoom(q *queue, size int) bool {
	deliveries, bytes := e.room(q)
	fits := size <= e.HeldBytes-e.heldBytes-e.HeldBytes/refillShare
	return deliveries > 0 && fits && (size <= bytes || q.heldBytes == 0)
}

// claimable returns how much the store may be asked for, and the size that is to
// be held for it, or false where there is no room.
func (e *Engine) claimable(q *queue) (limit Limit, size int, ok bool) {
	deliveries, bytes := e.room(q)
	size = max(1, e.HeldBytes/refillShare)
	if deliveries <= 0 || bytes <= 0 || e.HeldBytes-e.heldBytes < size {
		return limit, 0, false
	}
	deliveries, bytes = min(deliveries, q.claimed()), min(bytes, size)
	limit.Deliveries = max(1, min(deliveries, bytes/(2*overhead)))
	limit.Bytes = max(1, bytes-limit.Deliveries*overhead)
	return limit, size, true
}

// firstClaim is how many deliveries are taken from the store for an endpoint of
// which nothing good is known. As it takes them the number doubles; for one that
// hangs or fails, most would only be given back.
const firstClaim = 16

// claimed is how many deliveries are taken at once for a queue.
func (q *queue) claimed() int { return min(heldPerQueue, firstClaim<<q.growth) }

// grow has the next claim be larger, if the endpoint has taken some since the
// last.
func (q *queue) grow() {
	if q.worked && q.claimed() < heldPerQueue {
		q.growth++
	}
	q.worked = false
}

// runsDry reports whether it is time to ask the store for more.
func (e *Engine) runsDry(q *queue) bool {
	return len(q.items) < max(min(e.PerSubscription, firstClaim), q.claimed()/4)
}

// feed has the store asked for the queues that waited for memory, in turn.
func (e *Engine) feed() {
	for n := len(e.hungry); e.running && n > 0; n-- {
		q := e.hungry[0]
		if _, _, ok := e.claimable(q); !ok && q.heldBytes == 0 && q.isDue(time.Now()) {
			return
		}
		e.hungry[0] = nil
		e.hungry = e.hungry[1:]
		q.hungry = false
		e.advance(q)
	}
}
