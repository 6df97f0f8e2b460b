package delivery

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// checkRate checks that no second has more starts than the rate, and one.
func checkRate(t *testing.T, starts []start, perSecond int) {
	t.Helper()
	for i := range starts {
		if i >= perSecond+1 && starts[i].at.Sub(starts[i-perSecond-1].at) < time.Second {
			t.Errorf("request %d comes %v after the one %d before it", i, starts[i].at.Sub(starts[i-perSecond-1].at), perSecond+1)
			return
		}
	}
}

// A backlog goes out at the rate of its subscription, also to an endpoint that
// takes its time, and the store is asked as seldom as without a rate.
func TestRate(t *testing.T) {
	for _, latency := range []time.Duration{0, 50 * time.Millisecond, 2 * time.Second} {
		for _, perSecond := range []int{1, 3, 50} {
			run(t, Config{}, func(w *world) {
				const n = 600
				to := w.subscribe("a", Target{Rate: perSecond}, slow(latency))
				w.backlog("a", n, 2)
				w.Changed("a")
				begun := time.Now()
				expected := time.Duration(n) * time.Second / time.Duration(perSecond)
				if latency > 0 {
					expected = max(expected, time.Duration(n)*latency/time.Duration(w.PerSubscription))
				}
				w.ended(4 * expected)
				starts := w.seen(to)
				checkRate(t, starts, perSecond)
				if took := starts[n-1].at.Sub(begun); took > expected*21/20 || took < expected*19/20-time.Second {
					t.Errorf("latency %v, rate %d: it took %v, want %v", latency, perSecond, took, expected)
				}
				if claims := w.called("Claim") + w.called("Target") + w.called("Release"); claims > 12 {
					t.Errorf("latency %v, rate %d: the store was asked %d times: %v", latency, perSecond, claims, w.calls)
				}
			})
		}
	}
}

// That the first ones take long does not hold up the next.
func TestRateWhileAnswersTakeLong(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{Rate: 1}, slow(14*time.Second))
		begun := time.Now()
		for range w.PerSubscription {
			w.publish("a")
		}
		w.ended(time.Minute)
		for i, s := range w.seen(to) {
			if late := s.at.Sub(begun) - time.Duration(i)*time.Second; late < 0 || late > time.Millisecond {
				t.Errorf("request %d came %v late", i, late)
			}
		}
	})
}

// The rate holds from the first delivery on, before the target is known, and
// across times in which nothing is to be sent.
func TestRateOfWhatIsPublished(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, gap := range []time.Duration{0, 7 * time.Millisecond, 90 * time.Millisecond, 300 * time.Millisecond} {
			run(t, Config{}, func(w *world) {
				w.store.latency = func(string) time.Duration { return time.Millisecond }
				to := w.subscribe("a", Target{Rate: 5, Ordered: ordered}, nil)
				for range 100 {
					w.publish("a")
					time.Sleep(gap)
				}
				w.ended(time.Minute)
				checkRate(t, w.seen(to), 5)
				synctest.Wait()
				time.Sleep(time.Second)
				synctest.Wait()
				w.checkIdle()
			})
		}
	}
}

// A subscription with a rate does not hold up others, however many have one.
func TestRateIsOnesOwn(t *testing.T) {
	run(t, Config{InFlight: 16}, func(w *world) {
		limited := make(map[string]*endpoint)
		for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
			limited[id] = w.subscribe(id, Target{Rate: 2}, slow(100*time.Millisecond))
			w.backlog(id, 100, 2)
			w.Changed(id)
		}
		w.subscribe("free", Target{}, slow(10*time.Millisecond))
		begun := time.Now()
		for range 1000 {
			w.publish("free")
		}
		w.until(time.Minute, func() bool { return w.count("free")[Delivered] == 1000 })
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("the one without a rate took %v", took)
		}
		w.ended(2 * time.Minute)
		for id, to := range limited {
			starts := w.seen(to)
			checkRate(t, starts, 2)
			if took := starts[len(starts)-1].at.Sub(begun); took > 51*time.Second {
				t.Errorf("%s took %v", id, took)
			}
		}
	})
}

// A rate that is changed holds from then on.
func TestRateChanges(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{}, func(int, context.Context) (int, http.Header) { return 200, nil })
		target := *w.subscriptions["a"].target
		for _, perSecond := range []int{10, 2, 20} {
			target.Rate = perSecond
			changed := target
			w.setTarget("a", &changed)
			w.Changed("a")
			before := len(w.seen(to))
			w.backlog("a", 100, 2)
			w.Changed("a")
			w.ended(time.Minute)
			checkRate(t, w.seen(to)[before:], perSecond)
			took := w.seen(to)[before+99].at.Sub(w.seen(to)[before].at)
			if want := 100 * time.Second / time.Duration(perSecond); took > want*21/20 || took < want*9/10 {
				t.Errorf("rate %d: %v", perSecond, took)
			}
		}
	})
}

// Nothing goes out by a target that has changed while the store was asked for it.
func TestRateChangesMeanwhile(t *testing.T) {
	for step := range 12 {
		run(t, Config{}, func(w *world) {
			w.store.latency = func(method string) time.Duration {
				return map[string]time.Duration{"Target": 10 * time.Millisecond}[method]
			}
			to := w.subscribe("a", Target{}, nil)
			w.backlog("a", 50, 2)
			w.Changed("a")
			time.Sleep(time.Duration(step)*2*time.Millisecond + time.Microsecond)
			if len(w.seen(to)) > 0 {
				return
			}
			limited := *w.subscriptions["a"].target
			limited.Rate = 5
			w.setTarget("a", &limited)
			w.Changed("a")
			w.ended(time.Minute)
			checkRate(w.t, w.seen(to), 5)
		})
	}
}
