package delivery

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cluster is two nodes on one store, and who sends what.
type cluster struct {
	mu    sync.Mutex
	homes map[string]string // by subscription; "one" for others
	nodes map[string]*world
	tells int
}

// newCluster starts both nodes. What one tells the other arrives a moment later,
// and has that look for what waits.
func newCluster(t *testing.T) *cluster {
	c := &cluster{homes: make(map[string]string), nodes: make(map[string]*world)}
	base := newWorld(t, Config{})
	for _, name := range []string{"one", "two"} {
		c.nodes[name] = base.node(name, Config{
			Home: func(id string) bool { return c.home(id) == name },
			Tell: c.tell,
		})
		c.nodes[name].others = true
		c.nodes[name].start()
	}
	return c
}

func (c *cluster) home(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if home := c.homes[id]; home != "" {
		return home
	}
	return "one"
}

func (c *cluster) tell(ids []string) {
	for _, id := range ids {
		c.mu.Lock()
		c.tells++
		c.mu.Unlock()
		time.AfterFunc(time.Millisecond, func() { c.nodes[c.home(id)].Changed(id) })
	}
}

// move has a subscription sent by another node. The one that has it now learns
// of it before, or after the other.
func (c *cluster) move(id string, oldFirst bool) {
	old := c.home(id)
	home := map[string]string{"one": "two", "two": "one"}[old]
	c.mu.Lock()
	c.homes[id] = home
	c.mu.Unlock()
	order := []string{home, old}
	if oldFirst {
		slices.Reverse(order)
	}
	for _, name := range order {
		if err := c.nodes[name].Rebalance(context.Background()); err != nil {
			c.nodes[name].t.Error(err)
		}
		time.Sleep(3 * time.Millisecond)
	}
}

func inCluster(t *testing.T, test func(c *cluster, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer func() {
			c.nodes["two"].Stop(context.Background())
			c.nodes["one"].stop(context.Background())
			c.nodes["two"].checkIdle()
		}()
		test(c, c.nodes["one"])
	})
}

// A subscription that moves to another node while it has deliveries in memory,
// under way, and in the store, is sent by that one, in order, at once.
func TestRebalance(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, oldFirst := range []bool{false, true} {
			for _, answer := range []int{200, 500} {
				t.Run(fmt.Sprintf("ordered %v, old first %v, %d", ordered, oldFirst, answer), func(t *testing.T) {
					inCluster(t, func(c *cluster, w *world) { rebalance(c, w, ordered, oldFirst, answer) })
				})
			}
		}
	}
}

func rebalance(c *cluster, w *world, ordered, oldFirst bool, answer int) {
	to := w.subscribe("a", Target{Ordered: ordered}, func(n int, ctx context.Context) (int, http.Header) {
		wait(ctx, time.Second)
		if n <= 3 {
			return answer, nil
		}
		return 200, nil
	})
	w.subscribe("b", Target{}, nil)
	for range 20 {
		w.publish("a", "b")
	}
	w.backlog("a", 300, 2)
	w.Changed("a")
	time.Sleep(500 * time.Millisecond)
	c.move("a", oldFirst)
	time.Sleep(30 * time.Second) // all retries are due
	w.Engine.mu.Lock()
	if q := w.queues["a"]; q != nil {
		w.t.Errorf("the old node remembers %+v", q)
	}
	w.Engine.mu.Unlock()
	for range 20 {
		w.publish("a") // by the old node
	}
	atATime := 8
	if ordered {
		atATime = 1
	}
	limit := 340 * time.Second / time.Duration(atATime)
	if answer == 500 {
		limit += 10 * time.Minute
	}
	w.ended(limit)
	if ordered {
		w.checkOrder(to)
	}
	if to.most > 2*atATime || ordered && to.most > 1 {
		w.t.Errorf("%d at a time", to.most)
	}
}

// A node that finds, before it is told of a move, that a subscription is not its
// own any more, tells the one whose it is.
func TestFoundToHaveMoved(t *testing.T) {
	inCluster(t, func(c *cluster, w *world) {
		w.subscribe("a", Target{}, func(n int, _ context.Context) (int, http.Header) { return []int{0, 500, 200}[min(n, 2)], nil })
		w.publish("a")
		time.Sleep(time.Second)
		c.mu.Lock()
		c.homes["a"] = "two"
		c.mu.Unlock()
		w.ended(10 * time.Second)
	})
}

// Subscriptions that move all the time lose nothing, and keep their order.
func TestRebalanceAllTheTime(t *testing.T) {
	for range 20 {
		inCluster(t, func(c *cluster, w *world) {
			for _, node := range c.nodes {
				node.store.latency = func(string) time.Duration { return milliseconds(10) }
				node.commit = func() time.Duration { return milliseconds(10) }
			}
			for i := range 10 {
				w.subscribe(fmt.Sprint("s", i), Target{Ordered: i%2 == 0, Rate: i % 3 * 20}, func(n int, ctx context.Context) (int, http.Header) {
					wait(ctx, milliseconds(100))
					return []int{200, 200, 200, 500, 200}[n%5], nil
				})
			}
			var publishers sync.WaitGroup
			for i := range 10 {
				publishers.Go(func() {
					for n := range 100 {
						c.nodes[[]string{"one", "two"}[n%2]].publish(fmt.Sprint("s", i))
						time.Sleep(milliseconds(100))
					}
				})
			}
			for n := range 100 {
				c.move(fmt.Sprint("s", n%10), n%3 == 0)
				time.Sleep(milliseconds(100))
			}
			publishers.Wait()
			w.ended(20 * time.Hour)
			for i := range 10 {
				if i%2 == 0 {
					w.checkOrder(w.net.endpoints[fmt.Sprint("s", i)])
				}
			}
			time.Sleep(time.Minute)
			w.checkIdle()
			c.nodes["two"].checkIdle()
		})
	}
}
