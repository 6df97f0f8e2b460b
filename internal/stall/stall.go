// Package stall ends exchanges with an upstream that does nothing any more.
package stall

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Err is the cause with which a Watch cancels.
var Err = errors.New("the upstream is silent")

// Watch cancels a request when it is the upstream's turn for too long. It is
// started once. Pause and Resume only note the time, and don't set the timer, so
// they can be called around each Read.
type Watch struct {
	timer   *time.Timer
	timeout time.Duration
	began   time.Time
	since   atomic.Int64 // when the upstream's turn began, after began; 0 in the client's
	over    atomic.Bool
	cancel  context.CancelCauseFunc
}

// Start begins with the upstream's turn.
func (w *Watch) Start(timeout time.Duration, cancel context.CancelCauseFunc) {
	w.timeout, w.cancel, w.began = timeout, cancel, time.Now()
	w.Resume()
	w.timer = time.AfterFunc(time.Hour, w.check)
	w.timer.Reset(timeout) // only now may check find the timer
}

func (w *Watch) check() {
	if w.over.Load() {
		return
	}
	left := w.timeout
	if since := w.since.Load(); since != 0 {
		left -= time.Since(w.began) - time.Duration(since)
	}
	if left <= 0 {
		w.cancel(Err)
		return
	}
	w.timer.Reset(left)
}

// Pause says that it is the client's turn.
func (w *Watch) Pause() { w.since.Store(0) }

// Resume says that it is the upstream's turn, from now on.
func (w *Watch) Resume() { w.since.Store(int64(max(1, time.Since(w.began)))) }

// Stop ends the watch.
func (w *Watch) Stop() {
	w.over.Store(true)
	w.timer.Stop()
}
