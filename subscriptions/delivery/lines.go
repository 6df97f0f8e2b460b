package delivery

import (
	"container/list"
	"time"
)

// All functions here are called with e.mu held.

// lines are the queues that could make an attempt, in line for a slot. One that
// hangs has its slots for as long as an attempt may take, so what a queue gets
// depends on what it has and how its endpoint does.
type lines struct {
	first   list.List // of queues with nothing under way
	further list.List // of those with something under way; half of the slots are not for them
	failing list.List // of those whose endpoint fails; they have a share of the slots

	failingFirst bool // they take turns with the others
}

// lineOf returns the line that is a queue's own now.
func (e *Engine) lineOf(q *queue) *list.List {
	switch {
	case q.failures > 0:
		return &e.failing
	case q.inFlight == 0:
		return &e.first
	default:
		return &e.further
	}
}

// lineUp puts a queue in line.
func (e *Engine) lineUp(q *queue) {
	if line := e.lineOf(q); q.line != line {
		q.leaveLine()
		q.line, q.place = line, line.PushBack(q)
	}
}

// leaveLine takes a queue out of the line that it stands in.
func (q *queue) leaveLine() {
	if q.line != nil {
		q.line.Remove(q.place)
		q.line, q.place = nil, nil
	}
}

// next returns the queue whose turn it is, or nil.
func (e *Engine) next() *queue {
	e.failingFirst = !e.failingFirst
	order := [...]*list.List{&e.first, &e.further, &e.failing}
	if e.failingFirst {
		order = [...]*list.List{&e.failing, &e.first, &e.further}
	}
	for _, line := range order {
		if line.Len() > 0 && e.hasSlot(line) {
			return line.Front().Value.(*queue)
		}
	}
	return nil
}

// hasSlot reports whether there is a slot for the queues of a line.
func (e *Engine) hasSlot(line *list.List) bool {
	switch {
	case e.inFlight >= e.InFlight:
		return false
	case line == &e.failing:
		return e.lateInFlight < max(1, e.InFlight/4)
	case line == &e.further:
		return e.inFlight < max(1, e.InFlight/2)
	default:
		return true
	}
}

// dispatch gives free slots to the queues in line.
func (e *Engine) dispatch() {
	for e.running {
		q := e.next()
		if q == nil {
			return
		}
		now := time.Now()
		if !e.isReady(q) || q.limitedFor(now) > 0 || e.lineOf(q) != q.line {
			e.advance(q) // what it is told has changed since it lined up
			continue
		}
		q.leaveLine()
		if q.limiter != nil {
			q.limiter.AllowN(now, 1)
		}
		e.begin(q, q.pop())
		e.advance(q)
	}
}
