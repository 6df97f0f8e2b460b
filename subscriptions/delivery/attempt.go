package delivery

import "time"

// attempt sends a delivery and hands on what came of it.
func (e *Engine) attempt(q *queue, d *Delivery) {
	target, version, changes, err := e.targetOf(q)
	switch {
	case err != nil || target == nil || !e.Home(q.id): // of a node that is cut off, others take over
		e.giveUp(q, d, storeRetry, err)
		return
	case d.ordered && d.version != version:
		e.giveUp(q, d, 0, nil) // it may have been paused, and the store may have others before this one
		return
	}
	v := send(e.ctx, e.Client, target, d)
	v.probe = d.probe
	if e.ctx.Err() != nil && !v.ok {
		e.giveUp(q, d, 0, nil) // it is the engine that broke it off
		return
	}
	d.Attempts++
	d.Tries++
	var told *Condition
	var parked []*Delivery
	e.mu.Lock()
	if q.changes == changes {
		told, parked = e.judge(q, v)
	} else {
		v.outdated()
	}
	q.unstored++
	e.mu.Unlock()
	v.observe(d)
	parked = append(parked, e.report(q, told)...)
	e.results <- v.result(d)
	e.mu.Lock()
	if !d.ordered { // one that is waits until the result is stored
		e.freeSlot(q, d)
	}
	e.mu.Unlock()
	e.giveBack(e.ctx, parked)
}

// giveUp gives a delivery back untried, and all that wait behind it.
func (e *Engine) giveUp(q *queue, d *Delivery, pause time.Duration, err error) {
	e.mu.Lock()
	parked := append(e.park(q), d)
	q.parked(parked[len(parked)-1:])
	q.pauseUntil(time.Now().Add(pause))
	if err != nil {
		e.storeFailed(q, "looking up a subscription failed", err)
	}
	e.freeSlot(q, d)
	e.mu.Unlock()
	e.giveBack(e.ctx, parked)
}

// targetOf returns where a queue's deliveries go, and what this node was told
// about the subscription until then.
func (e *Engine) targetOf(q *queue) (target *Target, version, changes int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for q.target == nil || q.target.isOver(time.Now()) {
		version = q.version
		e.mu.Unlock()
		target, err = e.Store.Target(e.ctx, q.id)
		e.mu.Lock()
		if err != nil {
			return nil, 0, 0, err
		}
		if q.version == version { // else it has changed since
			if target == nil {
				return nil, 0, 0, nil
			}
			q.setTarget(target)
			return target, q.version, q.changes, nil
		}
	}
	return q.target, q.version, q.changes, nil
}
