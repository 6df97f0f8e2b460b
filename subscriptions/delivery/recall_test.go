package delivery

import (
	"testing"
	"time"
)

// What was committed without the node's knowing is sent all the same, and what was
// not does no harm.
func TestRecall(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		run(t, Config{}, func(w *world) {
			to := w.subscribe("a", Target{Ordered: ordered}, nil)
			w.last++
			w.ledger.mu.Lock()
			lost := w.insert("a", &Message{EventID: "evt_1", Published: time.Now(), Body: body[:2]}, w.Node)
			w.ledger.mu.Unlock()
			time.Sleep(time.Hour)
			if n := len(w.seen(to)); n != 0 {
				t.Fatalf("%d requests: the test tests nothing", n)
			}
			w.Recall([]*Delivery{nil, lost})
			w.ended(time.Minute)
			if n := len(w.seen(to)); n != 1 {
				t.Errorf("%d requests", n)
			}
			time.Sleep(time.Hour)
			w.checkIdle()
		})
	}
}

// Nor is what was claimed without the node's knowing forgotten.
func TestClaimOfUnknownOutcome(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		run(t, Config{}, func(w *world) {
			failed := 0
			w.store.fails = func(method string) (before, after bool) {
				if method == "Claim" && failed < 3 {
					failed++
					return false, true
				}
				return false, false
			}
			to := w.subscribe("a", Target{Ordered: ordered}, nil)
			w.backlog("a", 100, 2)
			w.Changed("a")
			w.ended(time.Minute)
			if n := len(w.seen(to)); n != 100 || failed != 3 {
				t.Errorf("%d requests, %d failures", n, failed)
			}
			if ordered {
				w.checkOrder(to)
			}
		})
	}
}
