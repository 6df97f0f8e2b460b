package delivery

import (
	"context"
	"net/http"
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
