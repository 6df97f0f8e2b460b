package subscriptions

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A node that is killed has its deliveries sent by the others, soon, and none is
// lost.
func killedNode(n *nodes) {
	var hooks []*receiver
	for home := range n.all {
		hooks = append(hooks, newBusy(n.T, 20*time.Millisecond).receiver)
		n.subscribeAt(home, "proj4", "target_url", hooks[home].URL)
	}
	var events []string
	for round := range 12 {
		events = append(events, n.publish(round%3, "proj4", 20)...)
	}
	n.all[2].kill()
	killed := time.Now()
	events = append(events, n.publish(0, "proj4", 20)...)
	for home, hook := range hooks {
		eventuallyWithin(n.T, nodeTimeout, "all events", func() bool { return len(arrivals(hook)) == len(events) })
		n.Logf("home %d: all %d events %v after the kill, %d of them again", home, len(events), time.Since(killed).Round(time.Millisecond), len(hook.seen())-len(events))
		if again := len(hook.seen()) - len(events); home != 2 && again > 0 {
			n.Errorf("%d arrived again of a node that lives", again)
		}
	}
	n.all[2].start()
	n.ids[2] = n.newcomer()
}

// One that is stopped has the others take over at once, not when it is missed.
func stoppedNode(n *nodes) {
	hook := newBusy(n.T, 20*time.Millisecond)
	n.subscribeAt(2, "proj5", "target_url", hook.URL)
	events := append(n.publish(2, "proj5", 50), n.publish(0, "proj5", 50)...)
	n.all[2].stop()
	events = append(events, n.publish(1, "proj5", 50)...)
	eventuallyWithin(n.T, sessionTimeout-2*time.Second, "all events", func() bool { return len(arrivals(hook.receiver)) == len(events) })
	n.once(hook.receiver, events)
	n.all[2].start()
	n.ids[2] = n.newcomer()
}

// sessions are those in which nodes listen.
const sessions = `SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
	AND classid::bigint = hashtext('connector_nodes')::bigint & 4294967295
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// Nodes whose connection is cut on which they listen hear again, and learn what
// they have missed.
func deafNodes(n *nodes) {
	waiting, changed := newReceiver(n.T, nil), newReceiver(n.T, nil)
	n.subscribeAt(1, "proj6", "target_url", waiting.URL)
	path := "/subscriptions/" + n.subscribeAt(1, "proj7", "target_url", changed.URL)
	n.publish(1, "proj7", 1) // node 1 knows the target now
	eventually(n.T, "it", func() bool { return len(changed.seen()) == 1 })
	eventually(n.T, "all nodes' sessions", func() bool { return len(n.query(sessions)) == 3 })

	cut := n.query("SELECT pg_terminate_backend(pid::int)::text FROM (" + sessions + ") AS s")
	if fmt.Sprint(cut) != "[true true true]" {
		n.Fatalf("%q", cut)
	}
	n.all[0].do("alice", "PATCH", path, `{"headers":{"X-Version":"2"}}`).is(n.T, http.StatusOK, "")
	events := n.publish(0, "proj6", 5)
	n.once(waiting, events)
	eventually(n.T, "all nodes' sessions", func() bool { return len(n.query(sessions)) == 3 })
	n.hears(1, 0)
	n.publish(1, "proj7", 1)
	eventually(n.T, "it", func() bool { return len(changed.seen()) == 2 })
	if got := changed.seen()[1].header.Get("X-Version"); got != "2" {
		n.Errorf("X-Version %q", got)
	}
}

// When the database crashes, publishing is refused until it is back, what was
// acknowledged is not lost, and what was under way is not sent again.
func databaseRestarts(n *nodes) {
	slow, open := gate(n.T)
	n.subscribeAt(0, "proj8", "target_url", slow.URL)
	hook := newReceiver(n.T, nil)
	n.subscribeAt(1, "proj9", "target_url", hook.URL)
	before := n.publish(0, "proj8", 20)
	eventually(n.T, "its first events", func() bool { return len(slow.seen()) == 8 })

	var acknowledged sync.Map
	stop, refused := make(chan struct{}), make([]int, len(n.all))
	var publishers sync.WaitGroup
	for at, c := range n.all {
		publishers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				id := fmt.Sprintf("evt_crash-%d-%d", at, i)
				status, err := c.try("POST", "/events", fmt.Sprintf(`{"id":%q,"type":"task.create","resource_id":"proj9","data":{}}`, id))
				switch {
				case status == http.StatusAccepted:
					acknowledged.Store(id, true)
				case status == http.StatusServiceUnavailable:
					refused[at]++
				default:
					n.Errorf("publishing: %d %v", status, err)
				}
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	n.server.Stop(n.T)
	time.Sleep(500 * time.Millisecond)
	open()
	time.Sleep(500 * time.Millisecond)
	n.server.Restart(n.T)
	for at, c := range n.all {
		eventuallyWithin(n.T, 30*time.Second, "the database", func() bool {
			status, _ := c.try("GET", "/subscriptions", "")
			return status == http.StatusOK
		})
		defer func() {
			if refused[at] == 0 {
				n.Errorf("node %d refused nothing", at)
			}
		}()
	}
	close(stop)
	publishers.Wait()
	missing := func() (first string) {
		arrived := arrivals(hook)
		acknowledged.Range(func(id, _ any) bool {
			if arrived[id.(string)] == 0 {
				first = id.(string)
			}
			return first == ""
		})
		return first
	}
	for deadline := time.Now().Add(30 * time.Second); missing() != ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.Fatalf("of those that were acknowledged, %s does not arrive: %q; pending: %q", missing(),
				n.query("SELECT concat_ws(' ', id, state, attempts, node, due, subscription_id) FROM connector_deliveries WHERE event_id = $1", missing()),
				n.query("SELECT concat_ws(' ', count(*), state, node, min(due), max(due), (extract(epoch from now())*1e6)::bigint) FROM connector_deliveries WHERE state = 0 GROUP BY state, node"))
		}
	}
	n.once(slow, before)
	n.once(slow, append(before, n.publish(2, "proj8", 5)...)) // they go on
}

// A node that could not beat itself does not take those for dead that could not
// either. One that has beaten does, sooner where the session has ended too.
func TestDeadNodes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge, options string) {
		if options == "" {
			t.Skip("SQLite has one node")
		}
		ctx, db := t.Context(), e.db()
		q := &queue{Store: &Store{db: db}, node: "me", cluster: newCluster(db, "me")}
		lives := func(what string, silent time.Duration, want bool) {
			t.Helper()
			e.write(`INSERT INTO connector_nodes (id, seen) SELECT 'other', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $1
				ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`, silent.Microseconds())
			at := time.Now()
			found, err := q.beat(ctx, false)
			if err != nil {
				t.Fatal(err)
			}
			q.cluster.seen(found.nodes, at)
			if got := e.ask("SELECT count(*) FROM connector_nodes WHERE id = 'other'") == "1"; got != want {
				t.Errorf("%s: alive %v, want %v", what, got, want)
			}
		}
		if _, err := q.beat(ctx, true); err != nil {
			t.Fatal(err)
		}
		q.cluster.lastBeat.Store(micros(time.Now()))
		lives("one that beats", heartbeat, true)
		lives("without a session", sessionTimeout, false)
		lives("for long", nodeTimeout, false)
		err := db.Postgres(ctx, func(conn *pgx.Conn) error {
			other := &listener{db: db, cluster: newCluster(db, "other")}
			if err := other.beSeen(ctx, conn); err != nil || !other.cluster.session.Load() {
				t.Errorf("its session: %v", err)
			}
			lives("with a session", sessionTimeout, true)
			lives("with a session, for long", nodeTimeout, false)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		q.cluster.lastBeat.Store(micros(time.Now().Add(-sessionTimeout - time.Second)))
		lives("after an outage", time.Hour, true)
		lives("soon after an outage", time.Hour, true)
		q.cluster.returned.Store(micros(time.Now().Add(-sessionTimeout - time.Second)))
		lives("later", time.Hour, false)
	})
}

// Who has no session is silent earlier than others would bury it.
func TestSilentNodes(t *testing.T) {
	c := &cluster{node: "me"}
	c.nodes.Store(&[]string{"me"})
	for silent, want := range map[time.Duration][2]bool{ // without and with a session
		0: {true, true}, heartbeat: {true, true}, sessionTimeout: {false, true}, nodeTimeout: {false, false},
	} {
		for i, session := range []bool{false, true} {
			c.session.Store(session)
			c.lastBeat.Store(micros(time.Now().Add(-silent)))
			if got := c.isHome("sub_1"); got != want[i] {
				t.Errorf("silent for %v, session %v: home %v", silent, session, got)
			}
		}
	}
}
