package delivery

import (
	"container/heap"
	"time"
)

// wakeups are the queues that have something to do at a time, the earliest
// first.
type wakeups []*queue

// Len implements heap.Interface, and so do the methods below.
func (w wakeups) Len() int { return len(w) }

// Less orders by time.
func (w wakeups) Less(i, j int) bool { return w[i].wakeup.Before(w[j].wakeup) }

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
func (w *wakeups) set(q *queue, at time.Time) {
	q.wakeup = at
	switch {
	case at.IsZero() && q.index >= 0:
		heap.Remove(w, q.index)
	case at.IsZero():
	case q.index >= 0:
		heap.Fix(w, q.index)
	default:
		heap.Push(w, q)
	}
}
