package subscriptions

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// nodes are three processes that share a database.
type nodes struct {
	*testing.T
	server *pgtest.Server
	dsn    string
	all    []*child
	ids    []string // of all, in connector_nodes
}

// TestCluster is several tests on the same nodes, to start those once.
func TestCluster(t *testing.T) {
	n := &nodes{T: t, server: pgtest.New(t)}
	n.dsn = n.server.Database(t)
	options := inPostgres(t, n.dsn)
	for range 3 {
		n.all = append(n.all, newChild(t, options))
		n.ids = append(n.ids, n.newcomer())
	}
	for _, part := range []struct {
		name string
		test func(*nodes)
	}{
		{"everywhere", everywhere}, {"changes", changesElsewhere}, {"killed", killedNode}, {"stopped", stoppedNode},
		{"deaf", deafNodes}, {"database", databaseRestarts},
	} {
		t.Run(part.name, func(t *testing.T) {
			n.T = t
			for _, c := range n.all {
				c.t = t
			}
			part.test(n)
		})
	}
}

// query returns texts from the database.
func (n *nodes) query(query string, args ...any) (found []string) {
	n.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.dsn)
	if err != nil {
		n.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, query, args...)
	if err == nil {
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		n.Fatal(err)
	}
	return found
}

// newcomer waits for a node that is not known yet, and returns its id.
func (n *nodes) newcomer() (id string) {
	n.Helper()
	eventuallyWithin(n.T, 30*time.Second, "another node", func() bool {
		for _, found := range n.query("SELECT id FROM connector_nodes") {
			if !slices.Contains(n.ids, found) {
				id = found
			}
		}
		return id != ""
	})
	return id
}

// subscribeAt makes a subscription to a resource whose home is the node with the
// index.
func (n *nodes) subscribeAt(home int, resource string, pairs ...any) (id string) {
	n.Helper()
	for {
		id := n.all[0].subscribe("alice", resource, pairs...).id()
		if homeOf(id, n.ids) == n.ids[home] {
			return id
		}
		n.all[0].do("alice", "DELETE", "/subscriptions/"+id, "").is(n.T, http.StatusNoContent, "")
	}
}

// publish publishes so many events of a resource at a node.
func (n *nodes) publish(at int, resource string, count int) (ids []string) {
	n.Helper()
	return n.all[at].publishMany(resource, count)
}

// hears waits until a node has heard what was told before.
func (n *nodes) hears(node, teller int) {
	n.Helper()
	resource := fmt.Sprint("control-", time.Now().UnixNano())
	hook := newReceiver(n.T, nil)
	id := n.subscribeAt(node, resource, "target_url", hook.URL)
	n.publish(teller, resource, 1)
	eventually(n.T, "a push of the node", func() bool { return len(hook.seen()) == 1 })
	n.all[teller].do("alice", "DELETE", "/subscriptions/"+id, "").is(n.T, http.StatusNoContent, "")
}

// busy is a receiver that takes its time, and counts what it has at once.
type busy struct {
	*receiver
	now, most atomic.Int64
}

func newBusy(t *testing.T, patience time.Duration) *busy {
	b := new(busy)
	b.receiver = newReceiver(t, func(int, http.ResponseWriter, *http.Request) {
		now := b.now.Add(1)
		defer b.now.Add(-1)
		for most := b.most.Load(); now > most && !b.most.CompareAndSwap(most, now); most = b.most.Load() {
		}
		time.Sleep(patience)
	})
	return b
}

// once checks that events have arrived, each once.
func (n *nodes) once(hook *receiver, events []string) {
	n.Helper()
	eventuallyWithin(n.T, 30*time.Second, "all events", func() bool { return len(hook.seen()) >= len(events) })
	counts := arrivals(hook)
	for _, id := range events {
		if counts[id] != 1 {
			n.Errorf("%s arrived %d times", id, counts[id])
		}
	}
}

// Wherever events are published, each arrives once; those of an ordered
// subscription in the order of publishing, which is that of the answers: of what
// is published at the same time, any may be first. What bounds a subscription
// bounds it on all nodes together.
func everywhere(n *nodes) {
	const rounds, batch, rate = 24, 10, 100
	var plain, ordered, limited []*busy
	for range 6 {
		plain = append(plain, newBusy(n.T, 20*time.Millisecond))
		n.all[0].subscribe("alice", "proj1", "target_url", plain[len(plain)-1].URL)
	}
	for home := range n.all { // each of them must have it from the others
		ordered = append(ordered, newBusy(n.T, 0))
		n.subscribeAt(home, "proj1", "target_url", ordered[home].URL, "ordered", true)
		limited = append(limited, newBusy(n.T, 0))
		n.subscribeAt(home, "proj1", "target_url", limited[home].URL, "rate_limit", rate)
	}
	var events []string
	for round := range rounds {
		events = append(events, n.publish(round%len(n.all), "proj1", batch)...)
	}
	for _, hook := range plain {
		n.once(hook.receiver, events)
		if most := hook.most.Load(); most > 8 || most < 2 {
			n.Errorf("%d requests at once", most)
		}
	}
	for home, hook := range ordered {
		n.once(hook.receiver, events)
		if most := hook.most.Load(); most > 1 {
			n.Errorf("%d requests at once of an ordered one", most)
		}
		for i, id := range hook.ids() {
			if id != events[i] {
				n.Errorf("home %d: event %d is %s, want %s", home, i, id, events[i])
				break
			}
		}
	}
	for _, hook := range limited {
		n.once(hook.receiver, events)
		requests := hook.seen()
		took := requests[len(requests)-1].at.Sub(requests[0].at)
		if least := time.Second * (rounds*batch - 1) / rate; took < least*9/10 {
			n.Errorf("%d requests in %v, want at least %v", len(requests), took, least)
		}
	}
}

// gate is a receiver whose requests wait until it is opened.
func gate(t *testing.T) (hook *receiver, open func()) {
	opened := make(chan struct{})
	open = sync.OnceFunc(func() { close(opened) })
	hook = newReceiver(t, func(int, http.ResponseWriter, *http.Request) { <-opened })
	t.Cleanup(open) // before its server is closed
	return hook, open
}

// What is changed at one node holds at the others: of what was published before a
// DELETE is answered, nothing arrives but what was under way.
func changesElsewhere(n *nodes) {
	full := func(hook *receiver) {
		n.Helper()
		eventually(n.T, "as many as there may be at once", func() bool { return len(hook.seen()) == 8 })
	}
	hook, open := gate(n.T)
	deleted := n.subscribeAt(1, "proj2", "target_url", hook.URL)
	n.publish(2, "proj2", 30)
	full(hook)
	n.all[0].do("alice", "DELETE", "/subscriptions/"+deleted, "").is(n.T, http.StatusNoContent, "")
	n.hears(1, 0)
	open()
	n.hears(1, 0)
	if got := len(hook.seen()); got != 8 {
		n.Errorf("deleted: %d arrived", got)
	}

	hook, open = gate(n.T)
	paused := "/subscriptions/" + n.subscribeAt(1, "proj3", "target_url", hook.URL)
	events := n.publish(2, "proj3", 30)
	full(hook)
	n.all[0].do("alice", "POST", paused+"/pause", "").is(n.T, http.StatusOK, "")
	n.hears(1, 0)
	open()
	n.hears(1, 0)
	if got := len(hook.seen()); got != 8 {
		n.Errorf("paused: %d arrived", got)
	}
	n.all[2].do("alice", "PATCH", paused, `{"headers":{"X-Version":"2"}}`).is(n.T, http.StatusOK, "")
	n.all[0].do("alice", "POST", paused+"/resume", "").is(n.T, http.StatusOK, "")
	n.once(hook, events)
	if got := hook.seen()[29].header.Get("X-Version"); got != "2" {
		n.Errorf("X-Version %q", got)
	}
}
