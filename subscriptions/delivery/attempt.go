package delivery

import (
	"context"
	"time"

	"go.uber.org/zap"
)

const storeRetry = time.Second // after an error of the store

// attempt sends a delivery and hands on what came of it.
func (e *Engine) attempt(q *queue, d *Delivery) {
	target, err := e.targetOf(q)
	if err != nil || target == nil {
		e.giveUp(q, d, err)
		return
	}
	v := send(e.ctx, e.Client, target, d)
	if e.ctx.Err() != nil && !v.ok {
		e.giveUp(q, d, nil) // it is the engine that broke it off
		return
	}
	d.Attempts++
	d.Tries++
	v.observe(d)
	e.mu.Lock()
	told, parked := e.judge(q, v)
	q.unstored++
	e.mu.Unlock()
	parked = append(parked, e.report(q, told)...)
	e.results <- v.result(d)
	e.giveBack(parked)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !q.ordered { // one that is waits until the result is stored
		e.freeSlot(q, d)
	}
}

// giveUp gives a delivery back untried, because its subscription is paused or
// ended, or the store is away, and all that wait behind it.
func (e *Engine) giveUp(q *queue, d *Delivery, err error) {
	e.mu.Lock()
	parked := append(e.park(q), d)
	e.drop(d)
	q.paused = time.Now().Add(storeRetry)
	if err != nil {
		if e.ctx.Err() == nil {
			e.Logger.Error("looking up a subscription failed", zap.String("subscription", q.id), zap.Error(err))
		}
		e.wakeAt(q, q.paused)
	}
	e.mu.Unlock()
	e.release(context.WithoutCancel(e.ctx), parked)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.freeSlot(q, d)
}

// targetOf returns where a queue's deliveries go.
func (e *Engine) targetOf(q *queue) (*Target, error) {
	e.mu.Lock()
	target, version := q.target, q.version
	e.mu.Unlock()
	if target != nil {
		return target, nil
	}
	asked := time.Now()
	target, err := e.Store.Target(e.ctx, q.id)
	if err != nil {
		return nil, err
	}
	if target != nil {
		target.asked = asked
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if q.version == version && target != nil {
		q.setTarget(target)
	}
	return target, nil
}
