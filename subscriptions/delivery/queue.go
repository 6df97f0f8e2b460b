package delivery

import (
	"container/heap"
	"time"
)

// queue is one subscription's deliveries on this node.
type queue struct {
	id    string
	items []*Delivery // leased to this node, to be sent now, oldest first

	reserved  int  // room for deliveries that are being committed
	inFlight  int  // attempts that have not ended
	inRing    bool // whether it is in line for a slot
	refilling bool // whether the store is being asked

	// due is when the store has a delivery of this queue that nobody has leased;
	// zero if it is not known to have any
	due   time.Time
	index int // in the heap of those with a due in the future; -1 for none

	paused time.Time // until when the endpoint wants to be left alone

	target  *Target // nil until it is asked for
	version int     // counts what this node was told about the subscription
	ordered bool    // as the target last said
}

// isIdle reports whether the queue need not be remembered.
func (q *queue) isIdle() bool {
	return len(q.items) == 0 && q.reserved == 0 && q.inFlight == 0 && !q.refilling && q.due.IsZero()
}

// isDue reports whether the store has deliveries to be sent now.
func (q *queue) isDue(now time.Time) bool { return !q.due.IsZero() && !q.due.After(now) }

// isBehind reports whether what is published now must queue up in the store,
// behind what is there.
func (q *queue) isBehind(now time.Time) bool {
	return q.refilling || q.isDue(now) || q.paused.After(now) || q.ordered && !q.due.IsZero()
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

// wakeups are the queues whose next delivery in the store is due later, the
// earliest first.
type wakeups []*queue

// Len implements heap.Interface, and so do the methods below.
func (w wakeups) Len() int { return len(w) }

// Less orders by time.
func (w wakeups) Less(i, j int) bool { return w[i].due.Before(w[j].due) }

// Swap keeps the queues' indexes.
func (w wakeups) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push appends a queue.
func (w *wakeups) Push(x any) {
	q := x.(*queue)
	q.index = len(*w)
	*w = append(*w, q)
}

// Pop removes the last one.
func (w *wakeups) Pop() any {
	old := *w
	q := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	q.index = -1
	return q
}

// set has a queue woken at a time, or never for zero.
func (w *wakeups) set(q *queue, due time.Time) {
	q.due = due
	switch {
	case due.IsZero() && q.index >= 0:
		heap.Remove(w, q.index)
	case due.IsZero():
	case q.index >= 0:
		heap.Fix(w, q.index)
	default:
		heap.Push(w, q)
	}
}
