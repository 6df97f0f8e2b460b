package delivery

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// What the store gives for an endpoint that has begun to be left alone meanwhile
// is given back, and sent later.
func TestClaimedTooLate(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		run(t, Config{}, func(w *world) {
			w.store.latency = func(method string) time.Duration {
				if method == "Claim" {
					return time.Second
				}
				return 0
			}
			w.subscribe("a", Target{Ordered: ordered}, func(n int, _ context.Context) (int, http.Header) {
				if n == 1 {
					return 503, http.Header{"Retry-After": {"60"}}
				}
				return 200, nil
			})
			w.publish("a")
			w.backlog("a", 10, 2)
			w.Changed("a")
			w.ended(2 * time.Minute)
			w.checkIdle()
		})
	}
}

// Stop in the middle: what waits is given back, what is under way may end, and
// Start takes up all that is left.
func TestStopInTheMiddle(t *testing.T) {
	for _, patience := range []time.Duration{0, time.Second, time.Minute} {
		for _, ordered := range []bool{false, true} {
			run(t, Config{}, func(w *world) { stopInTheMiddle(w, patience, ordered) })
		}
	}
}

func stopInTheMiddle(w *world, patience time.Duration, ordered bool) {
	slowEnough := slow(5 * time.Second)
	to := w.subscribe("a", Target{Ordered: ordered}, slowEnough)
	hanging := w.subscribe("hanging", Target{}, hang)
	limited := w.subscribe("limited", Target{Rate: 1}, nil)
	for range 20 {
		w.publish("a", "hanging", "limited")
	}
	w.backlog("limited", 400, 2)
	w.Changed("limited")
	time.Sleep(2 * time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begun := time.Now()
	w.stop(ctx)
	if took := time.Since(begun); took > min(patience, attemptTimeout)+time.Second {
		w.t.Errorf("it took %v", took)
	}
	if n := len(w.rows[2].attempts); patience < attemptTimeout && n > 0 {
		w.t.Errorf("%d attempts that were broken off are counted", n)
	}
	before := len(w.seen(to)) + len(w.seen(hanging)) + len(w.seen(limited))
	w.publish("a", "hanging", "limited")
	time.Sleep(time.Hour)
	if after := len(w.seen(to)) + len(w.seen(hanging)) + len(w.seen(limited)); after != before {
		w.t.Errorf("%d requests after the stop", after-before)
	}
	w.checkIdle()

	w.net.mu.Lock()
	hanging.answer = nil
	w.net.mu.Unlock()
	w.start()
	w.ended(time.Hour)
	if got := w.count(""); got[Delivered] != 3*21+400 {
		w.t.Errorf("%v", got)
	}
	if ordered {
		w.checkOrder(to)
	}
	// what was stored before the stop is not sent again
	if again := len(w.seen(to)) - 21; again > w.PerSubscription || patience >= 10*time.Second && again != 0 {
		w.t.Errorf("%d were sent again", again)
	}
}

// Publishers that have reserved room are not forgotten by a stop, nor is what
// they have committed.
func TestStopWhilePublishing(t *testing.T) {
	for _, startAgain := range []bool{false, true} {
		run(t, Config{}, func(w *world) {
			to := w.subscribe("a", Target{Ordered: true}, nil)
			w.commit = func() time.Duration { return time.Second }
			for range 5 {
				go w.publish("a")
				time.Sleep(300 * time.Millisecond)
			}
			w.Stop(context.Background())
			if startAgain {
				w.start()
			}
			time.Sleep(time.Minute)
			if !startAgain {
				if leased := w.leased(); len(leased) > 0 {
					t.Errorf("leased: %v", leased)
				}
				w.start()
			}
			w.ended(time.Minute)
			if n := len(w.seen(to)); n != 5 {
				t.Errorf("%d requests", n)
			}
			time.Sleep(time.Minute)
			w.checkIdle()
		})
	}
}

// A stop does not wait for a store that is away for longer than its context
// allows, and what could not be stored is sent again after the next start.
func TestStopWithoutStore(t *testing.T) {
	for _, perSecond := range []int{0, 10} { // nothing waits, or most
		run(t, Config{}, func(w *world) { stopWithoutStore(w, perSecond) })
	}
}

func stopWithoutStore(w *world, perSecond int) {
	var away atomic.Bool
	w.store.fails = func(string) (before, after bool) { return away.Load(), false }
	to := w.subscribe("a", Target{Rate: perSecond}, nil)
	for range 100 {
		w.publish("a")
	}
	time.Sleep(time.Second)
	away.Store(true)
	for range 10 {
		w.publish("a")
	}
	time.Sleep(time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	begun := time.Now()
	w.Stop(ctx)
	if took := time.Since(begun); took > 5*time.Second {
		w.t.Errorf("it took %v", took)
	}
	if err := w.Start(w.t.Context()); err == nil {
		w.t.Error("it has started without a store")
	}
	w.checkIdle()
	away.Store(false)
	time.Sleep(time.Minute)
	w.start()
	w.ended(time.Minute)
	if n := len(w.seen(to)); n < 110 || n > 135 {
		w.t.Errorf("%d requests", n)
	}
}

// A subscription that is paused and resumed while its deliveries are looked at
// is not forgotten.
func TestResumedInTheMiddle(t *testing.T) {
	for step := range 60 {
		run(t, Config{}, func(w *world) {
			w.store.latency = func(string) time.Duration { return 10 * time.Millisecond }
			w.subscribe("a", Target{}, nil)
			target := w.subscriptions["a"].target
			w.setTarget("a", nil)
			w.Changed("a")
			time.Sleep(time.Minute)
			for range 5 {
				w.publish("a")
			}
			time.Sleep(time.Duration(step) * 2 * time.Millisecond)
			w.setTarget("a", target)
			w.Changed("a")
			w.ended(10 * time.Second)
		})
	}
}

// An answer of the target that a subscription had before does not end it.
func TestGoneAfterChange(t *testing.T) {
	run(t, Config{}, func(w *world) {
		w.subscribe("a", Target{}, func(n int, ctx context.Context) (int, http.Header) {
			wait(ctx, time.Second)
			if n == 1 {
				return 410, nil
			}
			return 200, nil
		})
		w.publish("a")
		time.Sleep(500 * time.Millisecond)
		w.Changed("a")
		w.ended(time.Minute)
		if got := w.count("a"); got[Delivered] != 1 {
			t.Errorf("%v", got)
		}
		if told := w.kinds("a"); len(told) != 0 {
			t.Errorf("told %q", told)
		}
	})
}
