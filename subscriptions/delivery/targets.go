package delivery

import "time"

const (
	// targetAge is how old a target may be that is taken up again: the store says
	// what others change, but that may come late.
	targetAge  = time.Second
	maxTargets = 4096
)

// targets are those of queues that were forgotten because nothing was left to
// send: a subscription that gets an event now and then is not looked up for
// each. e.mu is held.
type targets map[string]*Target

// keep remembers the target of a queue that does well.
func (t targets) keep(q *queue, now time.Time) {
	if q.target == nil || q.failures > 0 || q.reported || now.Sub(q.target.asked) >= targetAge {
		return
	}
	if len(t) >= maxTargets {
		clear(t)
	}
	t[q.id] = q.target
}

// restore gives a new queue the target that it had.
func (t targets) restore(q *queue, now time.Time) {
	target := t[q.id]
	if target == nil {
		return
	}
	delete(t, q.id)
	if target.FailingSince.IsZero() && now.Sub(target.asked) < targetAge {
		q.setTarget(target)
	}
}
