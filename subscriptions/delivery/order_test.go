package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// number is an event's place in the order of publishing.
func (s start) number() (n int) {
	fmt.Sscanf(s.event, "evt_%d", &n)
	return n
}

// checkOrder checks that an endpoint got one event after the other, none before
// one that had been published before.
func (w *world) checkOrder(to *endpoint) {
	w.t.Helper()
	starts := w.seen(to)
	for i := 1; i < len(starts); i++ {
		if starts[i].number() < starts[i-1].number() {
			w.t.Errorf("%s, published before %s, came after it, at %v", starts[i].event, starts[i-1].event, starts[i].at)
			return
		}
	}
	if to.most > 1 {
		w.t.Errorf("%d at a time", to.most)
	}
}

func milliseconds(most int) time.Duration {
	return time.Duration(rand.IntN(most*1000+1)) * time.Microsecond
}

// Order holds while an endpoint fails, asks to be left alone, is changed, and
// while the store takes its time.
func TestOrder(t *testing.T) {
	for _, slowest := range []int{0, 20, 1000, 20_000} { // milliseconds that the store takes at most
		for range 10 {
			run(t, Config{}, func(w *world) { order(w, slowest) })
		}
	}
}

func order(w *world, slowest int) {
	w.store.latency = func(string) time.Duration { return milliseconds(slowest) }
	w.commit = func() time.Duration { return milliseconds(slowest) }
	failures := 60
	to := w.subscribe("a", Target{Ordered: true}, func(n int, ctx context.Context) (int, http.Header) {
		wait(ctx, milliseconds(30))
		if failures > 0 && n%3 == 0 {
			failures--
			return []int{500, 503}[n%2], http.Header{"Retry-After": {fmt.Sprint(rand.IntN(20))}}
		}
		return 200, nil
	})
	w.backlog("a", 300, 2)
	w.Changed("a")
	const published = 500
	for i := range published {
		w.publish("a")
		time.Sleep(milliseconds(400))
		if i%10 == 0 {
			go w.Changed("a") // as from another request
		}
	}
	w.ended(300 * time.Hour)
	w.checkOrder(to)
	if n := w.count("a")[Delivered]; n != 300+published {
		w.t.Errorf("%d delivered", n)
	}
	w.until(time.Hour, func() bool { return !w.remembers("a") })
}

// remembers reports whether the engine has a queue.
func (w *world) remembers(id string) bool {
	w.Engine.mu.Lock()
	defer w.Engine.mu.Unlock()
	return w.queues[id] != nil
}

// What the store gives late is not sent before what has gone back meanwhile.
func TestOrderOfWhatIsClaimedLate(t *testing.T) {
	const question, answer = 3, 4 // of the second claim
	for _, late := range []int32{question, answer} {
		for _, claim := range []time.Duration{time.Second, 10 * time.Second} {
			run(t, Config{}, func(w *world) {
				var claims atomic.Int32
				w.store.latency = func(method string) time.Duration {
					if method == "Claim" && claims.Add(1) == late {
						return claim
					}
					return 0
				}
				var failed atomic.Bool
				to := w.subscribe("a", Target{Ordered: true}, func(n int, ctx context.Context) (int, http.Header) {
					wait(ctx, 10*time.Millisecond)
					if claims.Load() == late && !failed.Swap(true) {
						return 500, nil
					}
					return 200, nil
				})
				w.backlog("a", 300, 2)
				w.Changed("a")
				w.until(time.Minute, failed.Load)
				time.Sleep(claim / 2)
				w.Changed("a")
				w.ended(time.Hour)
				w.checkOrder(to)
			})
		}
	}
}

// Nor is what is being given back overtaken by what is published, or claimed.
func TestOrderOfWhatIsGivenBack(t *testing.T) {
	for _, release := range []time.Duration{time.Second, 20 * time.Second} {
		run(t, Config{}, func(w *world) {
			w.store.latency = func(method string) time.Duration {
				if method == "Release" {
					return release / 2
				}
				return 0
			}
			to := w.subscribe("a", Target{Ordered: true}, func(n int, ctx context.Context) (int, http.Header) {
				wait(ctx, 100*time.Millisecond)
				return []int{0, 500, 200}[min(n, 2)], nil
			})
			for range 100 {
				w.publish("a")
			}
			for range 40 {
				time.Sleep(release / 20)
				w.publish("a")
				w.Changed("a")
			}
			w.ended(time.Hour)
			w.checkOrder(to)
		})
	}
}

// Nor is what was published before a pause overtaken by what is published at its
// end.
func TestOrderAfterPause(t *testing.T) {
	for step := range 40 {
		run(t, Config{}, func(w *world) {
			w.store.latency = func(method string) time.Duration {
				return map[string]time.Duration{"Target": 20 * time.Millisecond}[method]
			}
			to := w.subscribe("a", Target{Ordered: true}, nil)
			target := w.subscriptions["a"].target
			w.setTarget("a", nil)
			w.Changed("a")
			for range 3 {
				w.publish("a")
			}
			time.Sleep(time.Minute)
			w.publish("a")
			time.Sleep(time.Duration(step) * time.Millisecond)
			w.setTarget("a", target)
			w.Changed("a")
			w.ended(time.Minute)
			w.checkOrder(to)
		})
	}
}

// Nor by what waits for a slot at its end.
func TestOrderAfterPauseInLine(t *testing.T) {
	run(t, Config{InFlight: 1}, func(w *world) {
		w.subscribe("hanging", Target{}, hang)
		to := w.subscribe("a", Target{Ordered: true}, nil)
		target := w.subscriptions["a"].target
		w.setTarget("a", nil)
		w.Changed("a")
		for range 3 {
			w.publish("a")
		}
		time.Sleep(time.Minute)
		w.publish("hanging")
		w.publish("a")
		time.Sleep(time.Second)
		w.setTarget("a", target)
		w.Changed("a")
		w.until(time.Minute, func() bool { return w.count("a")[Delivered] == 4 })
		w.checkOrder(to)
	})
}

// A subscription may become ordered, or cease to be, at any time. No slot is
// lost by it.
func TestOrderedChanges(t *testing.T) {
	run(t, Config{InFlight: 12}, func(w *world) {
		w.store.latency = func(string) time.Duration { return milliseconds(10) }
		w.commit = func() time.Duration { return milliseconds(10) }
		w.subscribe("a", Target{}, func(_ int, ctx context.Context) (int, http.Header) {
			wait(ctx, milliseconds(50))
			return 200, nil
		})
		for i := range 2000 {
			w.ledger.mu.Lock()
			target := *w.subscriptions["a"].target
			w.ledger.mu.Unlock()
			target.Ordered = i%2 == 0
			w.setTarget("a", &target)
			w.Changed("a")
			for range 3 {
				w.publish("a")
			}
		}
		w.ended(time.Hour)
		time.Sleep(time.Minute)
		w.checkIdle()
	})
}

// A delivery that is dead, or delivered after all, lets the next ones go.
func TestOrderAfterDeath(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{Ordered: true}, nil)
		to.answer = w.failOnly(to, "evt_0")
		for range 10 {
			w.publish("a")
		}
		w.ended(100 * time.Hour)
		w.checkOrder(to)
		if got := w.count("a"); got[Dead] != 1 || got[Delivered] != 9 {
			t.Errorf("%v", got)
		}
		w.checkSchedule(to, "evt_0", w.rows[1].Since)
	})
}
