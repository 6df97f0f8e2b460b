package delivery

import "time"

// workerRest is for how long a worker waits for its next attempt.
const workerRest = time.Second

// work is an attempt that is to be made.
type work struct {
	q *queue
	d *Delivery
}

// assign has an attempt made: by a worker that waits, if there is one, whose stack
// is as large as an attempt needs it already.
func (e *Engine) assign(w work) {
	select {
	case e.idle <- w:
	default:
		e.tasks.Go(func() { e.work(w) })
	}
}

// work makes one attempt after the other. It ends after a rest, or with Stop.
func (e *Engine) work(w work) {
	rest := time.NewTimer(workerRest)
	defer rest.Stop()
	for {
		e.attempt(w.q, w.d)
		rest.Reset(workerRest)
		select {
		case w = <-e.idle:
		case <-e.stopping:
			return
		case <-rest.C:
			return
		}
	}
}
