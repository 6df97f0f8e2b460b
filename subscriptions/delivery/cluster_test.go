package delivery

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cluster is two nodes on one store, and who sends what as each of them sees it.
type cluster struct {
	mu    sync.Mutex
	moved map[string]map[string]bool // by node and subscription: whether it is the other one's
	nodes map[string]*world
}

// newCluster starts both nodes. All is the first one's.
func newCluster(t *testing.T) *cluster {
	c := &cluster{moved: make(map[string]map[string]bool), nodes: make(map[string]*world)}
	base := newWorld(t, Config{})
	for _, name := range []string{"one", "two"} {
		c.moved[name] = make(map[string]bool)
		c.nodes[name] = base.node(name, Config{
			Home: func(id string) bool { return c.isHome(name, id) },
			Tell: func(ids []string) { c.tell(name, ids) },
		})
		c.nodes[name].others = true
		c.nodes[name].start()
	}
	return c
}

func (c *cluster) isHome(node, id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved[node][id] == (node == "two")
}

// tell has the other node look for what waits, a moment later, if it takes it for
// its own.
func (c *cluster) tell(from string, ids []string) {
	to := map[string]string{"one": "two", "two": "one"}[from]
	time.AfterFunc(time.Millisecond, func() {
		for _, id := range ids {
			if c.isHome(to, id) {
				c.nodes[to].Changed(id)
			}
		}
	})
}

// learn has a node see that a subscription has moved.
func (c *cluster) learn(node, id string) {
	c.mu.Lock()
	c.moved[node][id] = !c.moved[node][id]
	c.mu.Unlock()
}

// move has a subscription sent by the other node. Both learn of it, one some time
// after the other.
func (c *cluster) move(id string, order []string, between time.Duration) {
	for _, node := range order {
		c.learn(node, id)
		if err := c.nodes[node].Rebalance(context.Background()); err != nil {
			c.nodes[node].t.Error(err)
		}
		time.Sleep(between)
	}
}

// orders are those in which the nodes may learn something.
var orders = [][]string{{"one", "two"}, {"two", "one"}}

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
		for _, nodes := range orders {
			for _, answer := range []int{200, 500} {
				t.Run(fmt.Sprintf("ordered %v, %v, %d", ordered, nodes, answer), func(t *testing.T) {
					inCluster(t, func(c *cluster, w *world) { rebalance(c, w, ordered, nodes, answer) })
				})
			}
		}
	}
}

func rebalance(c *cluster, w *world, ordered bool, nodes []string, answer int) {
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
	c.move("a", nodes, 3*time.Millisecond)
	time.Sleep(30 * time.Second)
	if w.remembers("a") {
		w.t.Error("the old node remembers it")
	}
	for range 20 {
		w.publish("a") // by the old node
	}
	atATime := w.PerSubscription
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

// What the old node has under way, waiting for its retry, or reserved when it
// learns of the move, early or late, is sent by the new one when it is due.
func TestMovedInTheMiddle(t *testing.T) {
	for _, nodes := range orders {
		for step := range 40 {
			inCluster(t, func(c *cluster, w *world) {
				w.store.latency = func(string) time.Duration { return 20 * time.Millisecond }
				w.commit = func() time.Duration { return 50 * time.Millisecond }
				w.subscribe("a", Target{}, func(n int, ctx context.Context) (int, http.Header) {
					wait(ctx, 300*time.Millisecond)
					return []int{0, 500, 200}[min(n, 2)], nil
				})
				go w.publish("a")
				time.Sleep(time.Duration(step)*17*time.Millisecond + time.Microsecond)
				c.move("a", nodes, 400*time.Millisecond)
				w.ended(10 * time.Second)
			})
		}
	}
}

// A node that finds, before it is told of a move, that a subscription is not its
// own any more, tells the one whose it is.
func TestFoundToHaveMoved(t *testing.T) {
	inCluster(t, func(c *cluster, w *world) {
		w.subscribe("a", Target{}, func(n int, _ context.Context) (int, http.Header) { return []int{0, 500, 200}[min(n, 2)], nil })
		w.publish("a")
		time.Sleep(time.Second)
		c.learn("one", "a")
		c.learn("two", "a")
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
				c.move(fmt.Sprint("s", n%10), orders[n%2], milliseconds(50))
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
