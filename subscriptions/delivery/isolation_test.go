package delivery

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// Endpoints that hang, each with a backlog, leave slots and memory to a healthy
// one, before any of their attempts has timed out and after many have.
func TestIsolation(t *testing.T) {
	for _, test := range []struct{ hanging, size int }{{20, 2}, {20, 256 << 10}, {100, 2}, {100, 256 << 10}, {250, 2}} {
		t.Run(fmt.Sprintf("%d hang, %d bytes", test.hanging, test.size), func(t *testing.T) {
			run(t, Config{}, func(w *world) { isolated(w, test.hanging, test.size) })
		})
	}
}

func isolated(w *world, hanging, size int) {
	for i := range hanging {
		id := fmt.Sprint("hanging", i)
		w.subscribe(id, Target{}, hang)
		w.backlog(id, 300, size)
		w.Changed(id)
	}
	healthy := w.subscribe("healthy", Target{}, nil)
	synctest.Wait()
	for _, pause := range []time.Duration{
		0, time.Second, 13 * time.Second, time.Second, time.Second, 10 * time.Second,
		time.Minute, 10 * time.Minute, time.Hour,
	} {
		time.Sleep(pause)
		before := len(w.seen(healthy))
		published := time.Now()
		for range 20 {
			w.publishSize(size, "healthy")
			time.Sleep(time.Millisecond)
		}
		w.until(time.Minute, func() bool { return len(w.seen(healthy)) == before+20 })
		starts := w.seen(healthy)[before:]
		if n := len(starts); n != 20 {
			w.t.Errorf("after %v: %d requests", pause, n)
		} else if took := starts[n-1].at.Sub(published); took > 200*time.Millisecond {
			w.t.Errorf("after %v: %v", pause, took)
		}
	}
	if w.net.most > w.InFlight {
		w.t.Errorf("%d at a time", w.net.most)
	}
	for id, to := range w.net.endpoints {
		if to.most > w.PerSubscription || len(to.starts) == 0 {
			w.t.Errorf("%s: %d requests, %d at a time", id, len(to.starts), to.most)
		}
	}
}

// A bounded share of the slots is for endpoints that fail, and each of them gets
// its turn.
func TestFailingShare(t *testing.T) {
	run(t, Config{InFlight: 40}, func(w *world) {
		const failing = 200
		for i := range failing {
			id := fmt.Sprint("failing", i)
			w.subscribe(id, Target{}, func(_ int, ctx context.Context) (int, http.Header) {
				wait(ctx, 14*time.Second)
				return 500, nil
			})
			w.backlog(id, 20, 2)
			w.Changed(id)
		}
		time.Sleep(20 * time.Minute)
		w.Engine.mu.Lock()
		if w.lateInFlight > 10 {
			t.Errorf("%d late ones", w.lateInFlight)
		}
		w.Engine.mu.Unlock()
		for id, to := range w.net.endpoints {
			if n := len(w.seen(to)); n < 2 {
				t.Errorf("%s had %d attempts", id, n)
			}
		}
		// one that has recovered is out of that line at once
		w.subscribe("recovering", Target{}, func(n int, ctx context.Context) (int, http.Header) {
			if n <= 3 {
				return 500, nil
			}
			return 200, nil
		})
		for range 50 {
			w.publish("recovering")
		}
		recovering := w.net.endpoints["recovering"]
		w.until(time.Hour, func() bool { return len(w.seen(recovering)) >= 4 })
		first := w.seen(recovering)[3].at
		w.until(time.Hour, func() bool { return w.count("recovering")[Delivered] >= 40 })
		starts := w.seen(recovering)
		if took := starts[39].at.Sub(first); took > 10*time.Second {
			t.Errorf("its backlog took %v", took)
		}
	})
}

// The backlog of a dead endpoint costs next to nothing.
func TestNoPolling(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, answer := range []func(int, context.Context) (int, http.Header){hang, status(503)} {
			run(t, Config{}, func(w *world) {
				to := w.subscribe("dead", Target{Ordered: ordered}, answer)
				w.backlog("dead", 100_000, 2)
				w.Changed("dead")
				time.Sleep(2 * time.Hour) // until it is only probed
				attempts, before := len(w.seen(to)), w.called("")
				time.Sleep(6 * time.Hour)
				attempts = len(w.seen(to)) - attempts
				// what to send, and what came of it
				if calls := w.called("") - before; calls > 2*attempts+4 || attempts > 16 {
					t.Errorf("ordered %v: %d attempts, %d calls of the store", ordered, attempts, calls)
				}
				// nor does one that nobody is to get
				w.setTarget("dead", nil)
				w.Changed("dead")
				time.Sleep(time.Hour)
				before = w.called("")
				time.Sleep(time.Hour)
				if calls := w.called("") - before; calls != 0 {
					t.Errorf("%d calls for a paused one", calls)
				}
				w.checkIdle()
			})
		}
	}
}

// What is delivered at once costs one call of the store for many, and nothing
// but their results is stored.
func TestLocalFirst(t *testing.T) {
	run(t, Config{}, func(w *world) {
		w.subscribe("a", Target{}, nil)
		for range 10_000 {
			w.publish("a")
			time.Sleep(100 * time.Microsecond)
		}
		w.ended(time.Minute)
		if w.called("Claim") > 0 || w.called("Release") > 0 {
			t.Errorf("%v", w.calls)
		}
		if n := w.called("Finish"); n > 10_000/40 {
			t.Errorf("%d calls of Finish", n)
		}
		time.Sleep(time.Hour)
		w.checkIdle()
	})
}
