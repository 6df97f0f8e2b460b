package delivery

import (
	"context"
	"time"

	"go.uber.org/zap"
)

const (
	storeRetry = time.Second // after an error of the store

	// results are stored together: so many, or what has come in this time
	maxBatch   = 256
	batchDelay = 5 * time.Millisecond
)

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
	if v.gone {
		e.end(q)
	}
	var parked []*Delivery
	if v.pause > 0 {
		e.mu.Lock()
		q.paused = time.Now().Add(v.pause)
		parked = e.park(q)
		e.wakeAt(q, q.paused)
		e.mu.Unlock()
	}
	d.Attempts++
	e.results <- v.result(d)
	e.giveBack(parked)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !q.ordered { // one that is waits until the result is stored
		e.freeSlot(q)
	}
}

// end ends a subscription whose subscriber wants no more.
func (e *Engine) end(q *queue) {
	if err := e.Store.End(context.WithoutCancel(e.ctx), q.id); err != nil {
		e.Logger.Error("ending a subscription failed", zap.String("subscription", q.id), zap.Error(err))
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	q.target = nil
	q.version++
	e.park(q) // they are cancelled
}

// giveUp gives a delivery back untried, because its subscription is paused or
// ended, or the store is away, and all that wait behind it.
func (e *Engine) giveUp(q *queue, d *Delivery, err error) {
	e.mu.Lock()
	parked := append(e.park(q), d)
	e.held--
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
	e.freeSlot(q)
}

// targetOf returns where a queue's deliveries go.
func (e *Engine) targetOf(q *queue) (*Target, error) {
	e.mu.Lock()
	target, version := q.target, q.version
	e.mu.Unlock()
	if target != nil {
		return target, nil
	}
	target, err := e.Store.Target(e.ctx, q.id)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if q.version == version && target != nil {
		q.target, q.ordered = target, target.Ordered
	}
	return target, nil
}

// freeSlot ends an attempt of q. e.mu is held.
func (e *Engine) freeSlot(q *queue) {
	q.inFlight--
	e.inFlight--
	e.advance(q)
	e.dispatch()
	e.wakeDue()
}

// finish stores results in batches, until e.results is closed.
func (e *Engine) finish() {
	defer close(e.finished)
	for first := range e.results {
		batch := []Result{first}
		timeout := time.After(batchDelay)
	gather:
		for len(batch) < maxBatch {
			select {
			case result, open := <-e.results:
				if !open {
					break gather
				}
				batch = append(batch, result)
			case <-timeout:
				break gather
			}
		}
		e.store(batch)
	}
}

// store stores results, however long the store is away: what is not stored would
// be sent again.
func (e *Engine) store(batch []Result) {
	for {
		err := e.Store.Finish(context.WithoutCancel(e.ctx), batch)
		if err == nil {
			break
		}
		e.Logger.Error("storing what was sent failed", zap.Error(err), zap.Int("deliveries", len(batch)))
		select {
		case <-e.ctx.Done():
			return // their leases end with this node
		case <-time.After(storeRetry):
		}
	}
	var parked []*Delivery
	e.mu.Lock()
	for _, result := range batch {
		e.held--
		q := e.queue(Recipient{Subscription: result.Delivery.Subscription})
		if result.State == Pending {
			if q.ordered { // nothing overtakes it
				q.paused = result.Due
				parked = append(parked, e.park(q)...)
			}
			e.wakeAt(q, result.Due)
		}
		if q.ordered {
			e.freeSlot(q)
		} else {
			e.advance(q)
		}
	}
	e.dispatch()
	e.wakeDue()
	e.mu.Unlock()
	e.giveBack(parked)
}
