package oauth

import (
	"container/heap"
	"context"
	"time"
)

const (
	maxWatched    = 100_000
	maxBackground = 64 // refreshes at a time that nobody waits for
)

// watch is a connection whose token is refreshed whether it is used or not.
type watch struct {
	id    string
	at    time.Time
	index int // in the heap, or -1: it is being refreshed
}

// plan are the watched connections, those that are due first in front.
type plan struct {
	watches map[string]*watch
	heap    watchHeap
}

// Watch has Run refresh a connection's token ahead of its end, from now on until
// Unwatch. Callers watch what is in their cache. It reports whether that is so: 100,000
// are watched at most, and the others refreshed when they are used.
func (r *Refresher) Watch(id string, rec Record) bool {
	at := r.refreshAt(id, rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.IsZero() || rec.Reauth != "" {
		r.plan.remove(id)
		return false
	}
	w := r.plan.watches[id]
	switch {
	case w == nil && len(r.plan.watches) >= maxWatched:
		return false
	case w == nil:
		w = &watch{id: id, index: -1}
		r.plan.watches[id] = w
	}
	r.put(w, at)
	return true
}

// Unwatch ends what Watch began.
func (r *Refresher) Unwatch(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan.remove(id)
}

func (p *plan) remove(id string) {
	if w := p.watches[id]; w != nil {
		delete(p.watches, id)
		if w.index >= 0 {
			heap.Remove(&p.heap, w.index)
		}
	}
}

// put sets when a connection is due, and tells Run if it is the first one.
func (r *Refresher) put(w *watch, at time.Time) {
	w.at = at
	if w.index < 0 {
		heap.Push(&r.plan.heap, w)
	} else {
		heap.Fix(&r.plan.heap, w.index)
	}
	if w.index == 0 {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// rewatch plans the next refresh of a connection after one has ended.
func (r *Refresher) rewatch(id string, f *flight) {
	w := r.plan.watches[id]
	if w == nil {
		return
	}
	at := r.refreshAt(id, f.record)
	if f.err != nil {
		at = f.until
	}
	if at.IsZero() { // there will be none
		r.plan.remove(id)
		return
	}
	r.put(w, at)
}

// Run refreshes watched connections until the context ends. It sleeps until the
// next one is due.
func (r *Refresher) Run(ctx context.Context) {
	slots := make(chan struct{}, maxBackground)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		id, wait := r.next(time.Now())
		if id != "" {
			select {
			case slots <- struct{}{}:
				r.background(id, func() { <-slots })
			case <-ctx.Done():
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
		}
	}
}

// next takes out a connection that is due, or returns how long until one is.
func (r *Refresher) next(now time.Time) (id string, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.plan.heap) == 0 {
		return "", 24 * time.Hour
	}
	first := r.plan.heap[0]
	if now.Before(first.at) {
		return "", first.at.Sub(now)
	}
	heap.Pop(&r.plan.heap)
	return first.id, 0
}

// background refreshes a connection that was taken out of the plan, and calls
// ended.
func (r *Refresher) background(id string, ended func()) {
	f, err := r.join(id, 0, wish{})
	if err != nil || f.ended() {
		r.mu.Lock()
		if w := r.plan.watches[id]; w != nil && w.index < 0 {
			r.put(w, time.Now().Add(jittered(standsFor)))
		}
		r.mu.Unlock()
		ended()
		return
	}
	go func() {
		<-f.done
		ended()
	}()
}

// watchHeap is a heap.Interface, by time.
type watchHeap []*watch

func (h watchHeap) Len() int           { return len(h) }
func (h watchHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h watchHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *watchHeap) Push(x any) {
	w := x.(*watch)
	w.index = len(*h)
	*h = append(*h, w)
}

func (h *watchHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	w.index = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}
