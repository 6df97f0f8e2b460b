package delivery

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Few are taken for an endpoint that may hang.
func TestFirstClaim(t *testing.T) {
	run(t, Config{}, func(w *world) {
		w.subscribe("hangs", Target{}, hang)
		w.backlog("hangs", 5000, 2)
		w.Changed("hangs")
		synctest.Wait()
		if n := len(w.leased()); n != firstClaim {
			t.Errorf("%d deliveries are leased", n)
		}
	})
}

// One that takes them costs few claims, and few again after it has failed.
func TestClaimsGrow(t *testing.T) {
	run(t, Config{}, func(w *world) {
		var down atomic.Bool
		w.subscribe("works", Target{}, func(_ int, ctx context.Context) (int, http.Header) {
			wait(ctx, 10*time.Millisecond)
			if down.Load() {
				return 500, nil
			}
			return 200, nil
		})
		w.backlog("works", 5000, 2)
		w.Changed("works")
		w.ended(time.Minute)
		if n := w.called("Claim"); n > 5000/(heldPerQueue/2) {
			t.Errorf("%d claims", n)
		}
		down.Store(true)
		w.backlog("works", 5000, 2)
		w.Changed("works")
		time.Sleep(time.Minute)
		down.Store(false)
		before := w.called("Claim")
		w.ended(time.Hour)
		if n := w.called("Claim") - before; n > 5000/(heldPerQueue/2)+20 {
			t.Errorf("%d claims after it came back", n)
		}
	})
}
