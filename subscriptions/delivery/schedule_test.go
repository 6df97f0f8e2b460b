package delivery

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// Retries of a delivery to an endpoint that fails, while another one has it
// taken for healthy, follow the schedule until the delivery is too old.
func TestSchedule(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{}, nil)
		to.answer = w.failOnly(to, "evt_0")
		published := time.Now()
		w.publish("a")
		for w.until(8*time.Hour, func() bool { return w.count("a")[Dead] > 0 }) == false {
			w.publish("a") // it succeeds: the circuit stays closed
		}
		w.checkSchedule(to, "evt_0", published)
	})
}

// failOnly answers 500 to an event, and 200 to others.
func (w *world) failOnly(to *endpoint, event string) func(n int, _ context.Context) (int, http.Header) {
	return func(n int, _ context.Context) (int, http.Header) {
		if w.seen(to)[n-1].event == event {
			return 500, nil
		}
		return 200, nil
	}
}

// checkSchedule checks the attempts of an event that failed from a time on until
// it was dead.
func (w *world) checkSchedule(to *endpoint, event string, since time.Time) {
	w.t.Helper()
	var at []time.Time
	for _, s := range w.seen(to) {
		if s.event == event && !s.at.Before(since) {
			at = append(at, s.at)
		}
	}
	want := []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour}
	if len(at) < 10 || len(at) > 16 {
		w.t.Fatalf("%d attempts", len(at))
	}
	if wait := at[0].Sub(since); wait != 0 {
		w.t.Errorf("the first attempt came after %v", wait)
	}
	for i := range at[1:] {
		want := append(want, 10*time.Hour)[min(i, len(want))]
		if wait := at[i+1].Sub(at[i]); wait < want*8/10 || wait > want*12/10+time.Second {
			w.t.Errorf("attempt %d came after %v, want %v", i+2, wait, want)
		}
	}
	if age := at[len(at)-1].Sub(since); age > 72*time.Hour || age < 60*time.Hour {
		w.t.Errorf("the last attempt came after %v", age)
	}
}

// One that is replayed starts anew, and keeps its attempts.
func TestScheduleAfterReplay(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{}, nil)
		to.answer = w.failOnly(to, "evt_0")
		w.publish("a")
		w.until(73*time.Hour, func() bool { w.publish("a"); return w.count("a")[Dead] > 0 })

		w.ledger.mu.Lock()
		r := w.rows[1]
		before := r.Attempts
		r.state, r.Tries, r.Since, r.due = Pending, 0, time.Now(), time.Now()
		w.subscriptions["a"].rows = append(w.subscriptions["a"].rows, r)
		replayed := r.Since
		w.ledger.mu.Unlock()
		w.Changed("a")
		w.until(73*time.Hour, func() bool { w.publish("a"); return w.count("a")[Dead] > 0 })
		w.checkSchedule(to, "evt_0", replayed)
		if r.Attempts != len(r.attempts) || before < 10 || r.Attempts < 2*before-2 {
			t.Errorf("%d attempts, %d before", r.Attempts, before)
		}
	})
}

// What failed together does not come back together.
func TestScheduleJitter(t *testing.T) {
	const n = 50
	run(t, Config{}, func(w *world) {
		for i := range n {
			id := string(rune('a'+i/26)) + string(rune('a'+i%26))
			w.subscribe(id, Target{}, func(n int, _ context.Context) (int, http.Header) { return 500 - 300*min(n-1, 1), nil })
			w.publish(id)
		}
		published := time.Now()
		w.ended(time.Minute)
		early, late := 0, 0
		for _, to := range w.net.endpoints {
			switch wait := to.starts[1].at.Sub(published); {
			case wait < 4*time.Second || wait > 6*time.Second+clockSlack:
				t.Errorf("the second attempt came after %v", wait)
			case wait < 5*time.Second:
				early++
			default:
				late++
			}
		}
		if early < n/10 || late < n/10 {
			t.Errorf("%d early, %d late", early, late)
		}
	})
}

// Retry-After has the whole endpoint left alone.
func TestRetryAfter(t *testing.T) {
	bubble := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		status int
		value  string
		want   time.Duration // 0: only this delivery's schedule
	}{
		{"seconds", 429, "600", 10 * time.Minute},
		{"seconds, 503", 503, "600", 10 * time.Minute},
		{"date", 503, bubble.Add(time.Hour).Format(http.TimeFormat), time.Hour},
		{"another status", 500, "600", 0},
		{"zero", 429, "0", 0},
		{"a date that has passed", 429, bubble.Add(-time.Hour).Format(http.TimeFormat), 0},
		{"no value", 429, "", 0},
		{"no number", 429, "1e3", 0},
		{"negative", 429, "-600", 0},
		{"too long", 429, "360000", 10 * time.Hour},
		{"a date too late", 429, bubble.Add(1000 * time.Hour).Format(http.TimeFormat), 10 * time.Hour},
		{"absurd", 429, "99999999999", 10 * time.Hour},
		{"more than any integer", 429, "99999999999999999999999999", 10 * time.Hour},
	}
	for _, test := range tests {
		for _, ordered := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				run(t, Config{}, func(w *world) { retryAfterPauses(w, ordered, test.status, test.value, test.want) })
			})
		}
	}
}

func retryAfterPauses(w *world, ordered bool, status int, value string, want time.Duration) {
	to := w.subscribe("a", Target{Ordered: ordered}, func(n int, _ context.Context) (int, http.Header) {
		if n == 1 {
			return status, http.Header{"Retry-After": {value}}
		}
		return 200, nil
	})
	begun := time.Now()
	w.publish("a")
	synctest.Wait()
	time.Sleep(time.Second)
	for range 3 {
		w.publish("a")
	}
	calls := w.called("")
	if want > 0 {
		time.Sleep(want - time.Until(begun)*-1 - time.Millisecond)
		synctest.Wait()
		if n := len(w.seen(to)); n != 1 {
			w.t.Fatalf("%d requests before %v have passed", n, want)
		}
		if n := w.called("") - calls; n > 4 {
			w.t.Errorf("%d calls of the store meanwhile", n)
		}
	}
	w.ended(time.Minute)
	if n := len(w.seen(to)); n != 5 {
		w.t.Errorf("%d requests", n)
	}
	second := w.seen(to)[1]
	wait := second.at.Sub(begun)
	switch {
	case want == 0 && !ordered && wait != time.Second:
		w.t.Errorf("the next one came after %v", wait)
	case want > 0 && wait > want+time.Second:
		w.t.Errorf("it was left alone for %v, want %v", wait, want)
	}
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for _, r := range w.rows {
		if r.Attempts == 2 && r.attempts[1].Started.Sub(begun) < want {
			w.t.Errorf("tried again after %v", r.attempts[1].Started.Sub(begun))
		}
	}
}

// The longest of several pauses counts, and failures of what was under way do
// not shorten it.
func TestRetryAfterOfSeveral(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{}, func(n int, ctx context.Context) (int, http.Header) {
			wait(ctx, time.Duration(min(n, 8))*100*time.Millisecond)
			switch {
			case n == 1:
				return 503, http.Header{"Retry-After": {"3600"}}
			case n <= 4:
				return 503, http.Header{"Retry-After": {"10"}}
			case n <= 8:
				return 500, nil
			}
			return 200, nil
		})
		begun := time.Now()
		for range 8 {
			w.publish("a")
		}
		w.ended(2 * time.Hour)
		if wait := w.seen(to)[8].at.Sub(begun); wait < time.Hour {
			t.Errorf("it was left alone for %v", wait)
		}
	})
}

// A pause does not make a delivery older than it may get.
func TestRetryAfterAtTheEnd(t *testing.T) {
	run(t, Config{}, func(w *world) {
		to := w.subscribe("a", Target{}, func(int, context.Context) (int, http.Header) {
			return 429, http.Header{"Retry-After": {"7200"}}
		})
		target := w.subscriptions["a"].target
		w.setTarget("a", nil)
		published := time.Now()
		w.publish("a")
		time.Sleep(maxAge - time.Hour)
		w.setTarget("a", target)
		w.Changed("a")
		w.ended(10 * time.Hour)
		starts := w.seen(to)
		if age := starts[len(starts)-1].at.Sub(published); age > maxAge || len(starts) != 1 {
			t.Errorf("%d attempts, the last one after %v", len(starts), age)
		}
	})
}
