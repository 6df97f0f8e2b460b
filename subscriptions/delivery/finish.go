package delivery

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// Results are stored together: so many, or what has come in this time.
const (
	maxBatch   = 256
	batchDelay = 5 * time.Millisecond
)

// finish stores results in batches, until e.results is closed.
func (e *Engine) finish() {
	defer close(e.finished)
	for first := range e.results {
		e.store(e.gather(first))
	}
}

// gather returns a result and those that follow it soon.
func (e *Engine) gather(first Result) []Result {
	batch := []Result{first}
	timeout := time.After(batchDelay)
	for len(batch) < maxBatch {
		select {
		case result, open := <-e.results:
			if !open {
				return batch
			}
			batch = append(batch, result)
		case <-timeout:
			return batch
		}
	}
	return batch
}

// store stores results, and draws conclusions.
func (e *Engine) store(batch []Result) {
	stored := e.save(batch)
	var parked []*Delivery
	var away []string // those that another node sends now
	e.mu.Lock()
	for _, result := range batch {
		d := result.Delivery
		q := e.queues[d.Subscription]
		e.drop(q, d)
		q.unstored--
		switch {
		case !stored:
			e.unreleased = append(e.unreleased, d)
		case result.State == Pending:
			if q.ordered { // nothing overtakes it
				q.pauseUntil(result.Due)
				q.returns++
				parked = append(parked, e.park(q)...)
			}
			if e.Home(q.id) {
				e.wakeAt(q, result.Due)
			} else {
				away = append(away, q.id)
			}
		}
		if d.ordered {
			e.freeSlot(q, d)
		} else {
			e.advance(q)
		}
	}
	e.returnLater(parked)
	e.settle()
	e.mu.Unlock()
	if away != nil {
		e.Tell(away)
	}
}

// save stores results, however long the store is away: what is not stored is
// sent again. It reports whether it could before the engine had to stop.
func (e *Engine) save(batch []Result) bool {
	for {
		err := e.Store.Finish(context.WithoutCancel(e.ctx), batch)
		if err == nil {
			return true
		}
		e.Logger.Error("storing what was sent failed", zap.Error(err), zap.Int("deliveries", len(batch)))
		select {
		case <-e.ctx.Done():
			return false
		case <-time.After(storeRetry):
		}
	}
}
