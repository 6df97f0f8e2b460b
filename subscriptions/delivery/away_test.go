package delivery

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// While one method of the store fails, or all do, nothing is lost, and the store
// is asked about once a second for each subscription. When it is there again,
// all goes on.
func TestStoreAway(t *testing.T) {
	for _, method := range []string{"", "Claim", "Finish", "Release", "Target", "Report"} {
		for _, done := range []bool{false, true} { // whether it does what it was asked for
			if done && (method == "" || method == "Claim") {
				continue // what is leased, and not known, is the node's until it ends
			}
			t.Run(method, func(t *testing.T) {
				run(t, Config{}, func(w *world) { storeAway(w, method, done) })
			})
		}
	}
}

func storeAway(w *world, method string, done bool) {
	var away atomic.Bool
	w.store.fails = func(called string) (before, after bool) {
		fails := away.Load() && (method == "" || method == called)
		return fails && !done, fails && done
	}
	ids := []string{"a", "b", "c", "d"}
	failing := map[string]bool{"b": true, "d": true}
	for i, id := range ids {
		w.subscribe(id, Target{Ordered: i > 1, Rate: 5}, func(n int, ctx context.Context) (int, http.Header) {
			wait(ctx, 300*time.Millisecond)
			if failing[id] && n < 4 {
				return 503, http.Header{"Retry-After": {"3"}}
			}
			return 200, nil
		})
		w.backlog(id, 300, 2)
		w.Changed(id)
	}
	time.Sleep(time.Second)
	away.Store(true)
	calls := w.called("")
	for range 60 {
		time.Sleep(time.Second)
		w.publish(ids...)
		w.Changed("a")
	}
	if n := w.called("") - calls; n > 60*20 {
		w.t.Errorf("%d calls in a minute: %v", n, w.calls)
	}
	away.Store(false)
	w.ended(time.Hour)
	if got := w.count(""); got[Delivered] != 4*360 {
		w.t.Errorf("%v", got)
	}
	for _, id := range ids[2:] {
		w.checkOrder(w.net.endpoints[id])
	}
	// sent again is only what could not be stored
	for _, id := range ids {
		n := len(w.seen(w.net.endpoints[id]))
		if failing[id] {
			n -= 3
		}
		if n > 360 {
			w.t.Errorf("%s: %d requests", id, n)
		}
	}
	time.Sleep(time.Hour)
	w.checkIdle()
}

// An engine that cannot ask what waits does not start, and can be started later.
func TestStartWithoutStore(t *testing.T) {
	run(t, Config{}, func(w *world) {
		w.Stop(context.Background())
		var away atomic.Bool
		away.Store(true)
		w.store.fails = func(string) (before, after bool) { return away.Load(), false }
		w.subscribe("a", Target{}, nil)
		w.backlog("a", 10, 2)
		for range 3 {
			if err := w.Start(w.t.Context()); err == nil || w.Running() {
				t.Error("it runs")
			}
			w.publish("a")
		}
		w.checkIdle()
		away.Store(false)
		w.start()
		w.ended(time.Minute)
	})
}
