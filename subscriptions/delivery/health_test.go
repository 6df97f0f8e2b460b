package delivery

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// kinds are the reports on a subscription, in short.
func (w *world) kinds(of string) (kinds []string) {
	for _, r := range w.told(of) {
		kinds = append(kinds, fmt.Sprintf("%s %d", r.Health, r.Warnings))
	}
	return kinds
}

func (w *world) isTold(of string, want ...string) {
	w.t.Helper()
	if got := w.kinds(of); !slices.Equal(got, want) {
		w.t.Errorf("%s: told %q, want %q", of, got, want)
	}
}

// While an endpoint is down, one attempt at a time finds out whether it is there
// again. Then its backlog goes out at full speed.
func TestCircuit(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		run(t, Config{}, func(w *world) { circuit(w, ordered) })
	}
}

func circuit(w *world, ordered bool) {
	const backlog = 2000
	var down atomic.Bool
	down.Store(true)
	to := w.subscribe("a", Target{Ordered: ordered}, func(_ int, ctx context.Context) (int, http.Header) {
		wait(ctx, time.Second)
		if down.Load() {
			return 500, nil
		}
		return 200, nil
	})
	for range backlog {
		w.publish("a")
	}
	atATime := w.PerSubscription
	if ordered {
		atATime = 1
	}
	time.Sleep(7 * time.Hour)
	down.Store(false)
	failed := len(w.seen(to))
	if failed > 50 {
		w.t.Errorf("%d attempts while it was down", failed)
	}
	w.until(12*time.Hour, func() bool { return w.count("a")[Delivered] > 0 })
	if wait := w.seen(to)[failed].at.Sub(w.seen(to)[failed-1].at); wait > 37*time.Minute && !ordered {
		w.t.Errorf("the next probe came after %v", wait)
	}
	// what has failed meanwhile has its own schedule
	time.Sleep(backlog * time.Second / time.Duration(atATime) * 5 / 4)
	if delivered := w.count("a")[Delivered]; delivered < backlog-failed {
		w.t.Errorf("%d of %d were delivered at once", delivered, backlog)
	}
	if to.most != atATime {
		w.t.Errorf("%d at a time", to.most)
	}
	w.ended(12 * time.Hour)
}

// Probes come less and less often. What was under way when the endpoint was
// found to be down does not count as one.
func TestCircuitProbes(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{}, func(_ int, ctx context.Context) (int, http.Header) {
			wait(ctx, time.Second)
			return 500, nil
		})
		for range 100 {
			w.publish("a")
		}
		time.Sleep(3 * time.Hour)
		starts := w.seen(to)
		begun := slices.IndexFunc(starts, func(s start) bool { return s.at.Sub(starts[0].at) > 10*time.Second })
		if begun < openAfter || begun > openAfter+w.PerSubscription-1 { // when the tenth has failed, others are under way
			t.Errorf("%d attempts before the first probe", begun)
			return
		}
		for i, want := range append(probeDelays[:], probeDelays[len(probeDelays)-1]) {
			if begun+i >= len(starts) {
				t.Fatalf("%d requests", len(starts))
			}
			wait := starts[begun+i].at.Sub(starts[begun+i-1].at) - time.Second
			if wait < want*8/10-time.Second || wait > want*12/10+time.Second {
				t.Errorf("probe %d came after %v, want %v", i+1, wait, want)
			}
		}
		w.setTarget("a", nil)
		w.Changed("a")
	})
}

// The owner is told when an endpoint fails, and how it goes on, once each.
func TestReports(t *testing.T) {
	run(t, Config{DisableAfter: 10 * time.Hour}, func(w *world) {
		var down atomic.Bool
		down.Store(true)
		w.subscribe("a", Target{}, func(int, context.Context) (int, http.Header) {
			if down.Load() {
				return 500, nil
			}
			return 200, nil
		})
		for range 2 {
			w.publish("a")
		}
		begun := time.Now()
		synctest.Wait()
		w.isTold("a")
		w.publish("a")
		synctest.Wait()
		w.isTold("a", "failing 0")
		if c := w.told("a")[0]; !c.Since.Equal(begun) || !c.DisableAt.Equal(begun.Add(10*time.Hour)) || c.Status != 500 || c.Error != "status" {
			t.Errorf("told %+v", c)
		}
		for range 20 {
			w.publish("a")
		}
		for _, step := range []struct {
			share float64
			want  []string
		}{
			{0.49, []string{"failing 0"}},
			{0.60, []string{"failing 0", "failing 1"}},
			{0.80, []string{"failing 0", "failing 1", "failing 2"}},
			{0.99, []string{"failing 0", "failing 1", "failing 2", "failing 3"}},
		} {
			time.Sleep(time.Until(begun.Add(time.Duration(step.share * float64(10*time.Hour)))))
			w.isTold("a", step.want...)
		}
		down.Store(false)
		time.Sleep(time.Hour)
		w.isTold("a", "failing 0", "failing 1", "failing 2", "failing 3", "recovered 3")
		for range 2 * w.PerSubscription {
			w.publish("a")
		}
		time.Sleep(time.Hour)
		if n := len(w.told("a")); n != 5 {
			t.Errorf("told %d times: %q", n, w.kinds("a"))
		}
	})
}

// One that fails for too long is disabled. It has all of its time again when its
// owner resumes it, and its backlog is still there.
func TestDisabled(t *testing.T) {
	for _, resumedAfter := range []time.Duration{time.Minute, time.Hour} {
		run(t, Config{DisableAfter: 10 * time.Hour}, func(w *world) { disabled(w, resumedAfter) })
	}
}

func disabled(w *world, resumedAfter time.Duration) {
	to := w.subscribe("a", Target{}, status(500))
	target := *w.subscriptions["a"].target
	begun := time.Now()
	for range 100 {
		w.publish("a")
	}
	want := []string{"failing 0", "failing 1", "failing 2", "failing 3", "disabled 3"}
	w.until(11*time.Hour, func() bool { return len(w.told("a")) == len(want) })
	w.isTold("a", want...)
	if after := time.Since(begun); after < 10*time.Hour {
		w.t.Errorf("disabled after %v", after)
	}
	n, calls := len(w.seen(to)), w.called("")
	time.Sleep(resumedAfter)
	if again := len(w.seen(to)); again != n || w.called("")-calls > 20 {
		w.t.Errorf("%d requests and %d calls of the store after it was disabled", again-n, w.called("")-calls)
	}
	if pending := w.count("a")[Pending]; pending != 100 {
		w.t.Errorf("%d pending", pending)
	}

	w.setTarget("a", &target)
	w.Changed("a")
	time.Sleep(4 * time.Hour)
	w.isTold("a", append(want, "failing 0")...)
	w.net.mu.Lock()
	to.answer = nil
	w.net.mu.Unlock()
	time.Sleep(time.Hour)
	w.isTold("a", append(want, "failing 0", "recovered 0")...)
	w.ended(12 * time.Hour)
	if delivered := w.count("a")[Delivered]; delivered != 100 {
		w.t.Errorf("%d delivered", delivered)
	}
}

// An endpoint that is gone ends its subscription, and what waits.
func TestGone(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		run(t, Config{}, func(w *world) {
			to := w.subscribe("a", Target{Ordered: ordered}, func(_ int, ctx context.Context) (int, http.Header) {
				wait(ctx, time.Second)
				return 410, nil
			})
			w.backlog("a", 1000, 2)
			for range 20 {
				w.publish("a")
			}
			w.ended(time.Minute)
			most := w.PerSubscription
			if ordered {
				most = 1
			}
			if n := len(w.seen(to)); n > most {
				t.Errorf("%d requests", n)
			}
			if got := w.count("a"); got[Cancelled] != 1020 {
				t.Errorf("%v", got)
			}
			for _, r := range w.told("a") {
				if r.Health != Gone || r.Status != 410 {
					t.Errorf("told %+v", r)
				}
			}
		})
	}
}

// A report that could not be stored is made again.
func TestReportsAreRetried(t *testing.T) {
	for _, health := range []Health{Failing, Recovered, Disabled, Gone} {
		run(t, Config{DisableAfter: 10 * time.Hour}, func(w *world) {
			var failing, answer atomic.Int64
			answer.Store(500)
			w.store.fails = func(method string) (before, after bool) {
				return method == "Report" && failing.Add(-1) >= 0, false
			}
			w.subscribe("a", Target{}, func(int, context.Context) (int, http.Header) { return int(answer.Load()), nil })
			for range 12 {
				w.publish("a")
			}
			if health == Failing {
				failing.Store(2)
			}
			time.Sleep(time.Minute)
			switch failing.Store(2); health {
			case Recovered:
				answer.Store(200)
			case Disabled:
				time.Sleep(9*time.Hour + 30*time.Minute)
				failing.Store(2)
			case Gone:
				answer.Store(410)
			}
			time.Sleep(3 * time.Hour)
			for range 3 {
				w.publish("a")
				time.Sleep(time.Second)
			}
			told := w.told("a")
			if n := len(told); n == 0 || told[n-1].Health != health {
				t.Errorf("%s: told %q", health, w.kinds("a"))
			}
			if again := slices.ContainsFunc(told, func(r report) bool { return r.Health == health }); !again {
				t.Errorf("%s: told %q", health, w.kinds("a"))
			}
			w.setTarget("a", nil)
			w.Changed("a")
		})
	}
}
