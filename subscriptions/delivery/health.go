package delivery

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	// reportAfter is after how many failures in a row the store is told: not
	// each time that an attempt fails and the next does not.
	reportAfter = 3

	// openAfter is after how many failures in a row an endpoint is left alone
	// but for one attempt at a time, now and then, that finds out whether it is
	// there again.
	openAfter = 10
)

// probeDelays are the times between those attempts; the last one repeats.
var probeDelays = [...]time.Duration{30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute}

// warnings are given when an endpoint has failed for these shares of the time
// after which it is disabled.
var warnings = [...]float64{0.5, 0.7, 0.9}

// isOpen reports whether the endpoint is only probed.
func (q *queue) isOpen() bool { return q.failures >= openAfter }

// judge draws conclusions from an attempt: how the endpoint does, which the
// store is to be told if it is not nil, and what is to be given back to the store
// because the endpoint is left alone for a while. e.mu is held.
func (e *Engine) judge(q *queue, v verdict) (told *Condition, parked []*Delivery) {
	now := time.Now()
	pause := v.pause
	switch {
	case v.gone:
		told = &Condition{Health: Gone}
	case v.ok:
		told = e.succeeded(q, now)
	default:
		told = e.failed(q, now, v.probe)
		if q.isOpen() {
			delay := probeDelays[min(q.failures-openAfter, len(probeDelays)-1)]
			pause = max(pause, jittered(delay))
		}
	}
	if told != nil {
		told.Status, told.Error = v.attempt.Status, v.attempt.Error
	}
	if pause > 0 {
		q.pauseUntil(now.Add(pause))
		parked = e.park(q)
	}
	return told, parked
}

// outdated is for an answer of a target that the subscription has no more: what
// it says of the endpoint does not count.
func (v *verdict) outdated() {
	if v.gone {
		v.gone, v.attempt.Error = false, "status"
	}
	v.pause = 0
}

// succeeded has what waits sent, if the endpoint was only probed.
func (e *Engine) succeeded(q *queue, now time.Time) (told *Condition) {
	q.worked = true
	if q.isOpen() {
		q.paused = time.Time{}
		if !q.due.IsZero() {
			e.wakeAt(q, now)
		}
	}
	if q.reported || q.untold {
		told = &Condition{Health: Recovered, Since: q.failingSince, Warnings: q.warnings}
	}
	q.forgetFailures()
	return told
}

func (e *Engine) failed(q *queue, now time.Time, probe bool) (told *Condition) {
	q.worked, q.growth = false, 0
	if !q.isOpen() || probe { // else it was under way when the endpoint was found to be down
		q.failures++
	}
	if q.failingSince.IsZero() {
		q.failingSince = now
	}
	if q.failures < reportAfter {
		return nil
	}
	c := Condition{Health: Failing, Since: q.failingSince, DisableAt: q.failingSince.Add(e.DisableAfter), Warnings: q.warnings}
	share := float64(now.Sub(q.failingSince)) / float64(e.DisableAfter)
	if share >= 1 && q.isOpen() {
		c.Health = Disabled
		return &c
	}
	for c.Warnings < len(warnings) && share >= warnings[c.Warnings] {
		c.Warnings++
	}
	if q.reported && !q.untold && c.Warnings == q.warnings {
		return nil
	}
	// attempts that end meanwhile come to the same
	q.reported, q.untold, q.warnings = true, false, c.Warnings
	return &c
}

// report tells the store how an endpoint does, and returns what is to be given
// back to it.
func (e *Engine) report(q *queue, c *Condition) (parked []*Delivery) {
	if c == nil {
		return nil
	}
	err := e.Store.Report(context.WithoutCancel(e.ctx), q.id, *c)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil { // it is told again after another attempt
		e.Logger.Error("storing how an endpoint does failed", zap.String("subscription", q.id), zap.Error(err))
	}
	switch c.Health {
	case Failing:
		// one that has recovered meanwhile may have been stored before
		q.untold = q.untold || err != nil || !q.reported
	case Recovered:
		q.untold = q.untold || err != nil
	case Disabled, Gone:
		if err == nil {
			q.forgetTarget()
			return e.park(q)
		}
	}
	return nil
}

// jittered is a time that is longer or shorter by a share of it, so that what
// failed together does not come back together.
func jittered(delay time.Duration) time.Duration {
	return delay + time.Duration((rand.Float64()*2-1)*jitter*float64(delay)) //nolint:gosec // it is no secret
}
