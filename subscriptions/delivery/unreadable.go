package delivery

import (
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// ErrUnreadable is what a Store's Target returns where no key opens what is
// stored. To ask again soon is of no use: somebody must bring the key.
var ErrUnreadable = errors.New("no key opens what is stored of the subscription")

const (
	storeRetry      = time.Second     // after an error of the store
	unreadableRetry = 5 * time.Minute // after ErrUnreadable

	unreadableLogs  = 5                // of ErrUnreadable, and then
	unreadableQuiet = 10 * time.Minute // between others
)

// newUnreadable bounds how much is logged of all subscriptions.
func newUnreadable() *rate.Sometimes {
	return &rate.Sometimes{First: unreadableLogs, Interval: unreadableQuiet}
}

// storeFailed logs an error of the store, and returns when it is asked again for the
// queue. e.mu is held.
func (e *Engine) storeFailed(q *queue, message string, err error) (retry time.Duration) {
	log := func() { e.Logger.Error(message, zap.String("subscription", q.id), zap.Error(err)) }
	if e.ctx.Err() != nil {
		return storeRetry
	}
	if !errors.Is(err, ErrUnreadable) {
		log()
		return storeRetry
	}
	e.unreadable.Do(log)
	q.pauseUntil(time.Now().Add(unreadableRetry))
	return unreadableRetry
}
