package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Whatever happens, each delivery ends, nothing is forgotten, no bound is
// broken, order holds, and no trace is left.
func TestNothingIsForgotten(t *testing.T) {
	for range 15 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := &chaos{random: rand.New(rand.NewPCG(seed, 0))}
			config := Config{
				Held: 4 + c.intN(29), HeldBytes: 256<<10 + c.intN(1<<20), InFlight: 2 + c.intN(20), PerSubscription: 1 + c.intN(8),
				DisableAfter: 1000 * time.Hour,
			}
			run(t, config, func(w *world) { c.run(w) })
		})
	}
}

// chaos is a time in which anything may happen.
type chaos struct {
	mu     sync.Mutex
	random *rand.Rand
	over   bool // now all goes well

	*world
	ids []string
}

func (c *chaos) intN(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

func (c *chaos) chance(percent int) bool {
	happens := c.intN(100) < percent
	c.mu.Lock()
	defer c.mu.Unlock()
	return happens && !c.over
}

func (c *chaos) upTo(d time.Duration) time.Duration { return time.Duration(c.intN(int(d))) }

// answer is an endpoint's.
func (c *chaos) answer(_ int, ctx context.Context) (int, http.Header) {
	wait(ctx, c.upTo(200*time.Millisecond))
	switch {
	case c.chance(5):
		<-ctx.Done()
		return 0, nil
	case c.chance(10):
		return 503, http.Header{"Retry-After": {fmt.Sprint(c.intN(100))}}
	case c.chance(30):
		return 500, nil
	}
	return 200, nil
}

func (c *chaos) run(w *world) {
	c.world = w
	w.store.latency = func(string) time.Duration { return c.upTo(20 * time.Millisecond) }
	w.store.fails = func(method string) (before, after bool) {
		// a claim that was made and did not arrive would be the node's until it ends
		return c.chance(10), method != "Claim" && c.chance(5)
	}
	w.commit = func() time.Duration { return c.upTo(20 * time.Millisecond) }
	for i := range 30 {
		id := fmt.Sprint("s", i)
		c.ids = append(c.ids, id)
		w.subscribe(id, Target{Ordered: i%3 == 0, Rate: []int{0, 0, 0, 5, 50}[i%5]}, c.answer)
		w.backlog(id, c.intN(20), 2)
		w.Changed(id)
	}
	var publishers sync.WaitGroup
	for p := range 3 { // of subscriptions of their own: others would have no order
		publishers.Go(func() { c.publishers(p) })
	}
	for range 200 {
		time.Sleep(c.upTo(time.Second))
		c.disturb()
	}
	publishers.Wait()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	for !w.Running() {
		_ = w.Start(context.Background())
	}
	for i, id := range c.ids {
		target := Target{Ordered: i%3 == 0, Rate: []int{0, 0, 0, 5, 50}[i%5]}
		c.resume(id, &target)
	}
	w.ended(200 * time.Hour)
	w.until(11*time.Hour, func() bool { return !slices.ContainsFunc(c.ids, w.remembers) })
	w.checkIdle()
	for i, id := range c.ids {
		if i%3 == 0 {
			w.checkOrder(w.net.endpoints[id])
		}
	}
	if got := w.count(""); got[Cancelled] > 0 || got[Dead] > got[Delivered]/10 {
		w.t.Errorf("%v", got)
	}
}

func (c *chaos) publishers(p int) {
	for range 300 {
		time.Sleep(c.upTo(300 * time.Millisecond))
		var to []string
		for _, i := range c.permutation(10)[:1+c.intN(6)] {
			to = append(to, c.ids[p*10+i])
		}
		c.publishSize(c.intN(2000), to...)
	}
}

func (c *chaos) permutation(n int) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Perm(n)
}

// disturb does what users and operators may do at any time.
func (c *chaos) disturb() {
	id := c.ids[c.intN(len(c.ids))]
	c.ledger.mu.Lock()
	target := c.subscriptions[id].target
	c.ledger.mu.Unlock()
	switch c.intN(10) {
	case 0, 1:
		c.Changed(id)
	case 2:
		c.AllChanged()
	case 3:
		_ = c.Resume(context.Background())
	case 4:
		if target != nil {
			c.setTarget(id, nil)
			c.Changed(id)
			time.Sleep(c.upTo(2 * time.Second))
			c.resume(id, target)
		}
	case 5:
		if c.chance(30) {
			ctx, cancel := context.WithTimeout(context.Background(), c.upTo(20*time.Second))
			c.Stop(ctx)
			cancel()
			time.Sleep(c.upTo(time.Second))
			for c.Start(context.Background()) != nil {
			}
		}
	case 6:
		_ = c.Rebalance(context.Background())
	}
}

func (c *chaos) resume(id string, target *Target) {
	resumed := *target
	resumed.URL, resumed.Secrets = "https://"+id+"/hook", append(resumed.Secrets[:0:0], secret)
	c.setTarget(id, &resumed)
	c.Changed(id)
}
