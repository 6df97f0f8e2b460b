package subscriptions

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/f737063d/caddy-connector/datastore"
)

// pruner returns one that is not the running config's, and what it logs.
func (e *edge) pruner(retention time.Duration) (*pruner, *observer.ObservedLogs) {
	core, logs := observer.New(zap.InfoLevel)
	p := &pruner{db: e.db(), logger: zap.New(core)}
	p.retention.Store(int64(retention))
	return p, logs
}

// tables are how many rows there are of each kind.
func (e *edge) tables() string {
	var counts []string
	for _, table := range []string{"deliveries", "attempts", "events", "replays", "subscriptions"} {
		counts = append(counts, e.ask("SELECT count(*) FROM connector_"+table))
	}
	return strings.Join(counts, " ")
}

func TestRetention(t *testing.T) { eachDatabase(t, retention) }

func retention(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub
	var events []string
	for range 6 {
		events = append(events, e.publish("p1", "task.create", "{}"))
	}
	e.settled(path, 6)
	const month = 30 * 24 * time.Hour
	p, logs := e.pruner(month)
	prune := func(want string) {
		t.Helper()
		if err := p.prune(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := e.tables(); got != want {
			t.Fatalf("left: %s, want %s", got, want)
		}
	}
	prune("6 6 6 0 1")
	if logs.Len() != 0 {
		t.Errorf("logged: %v", logs.All())
	}
	age := func(table, column, where string, by time.Duration) {
		e.write("UPDATE connector_"+table+" SET "+column+" = "+column+" - $1 WHERE "+where, by.Microseconds())
	}
	old, young := month+time.Minute, month-time.Minute
	age("events", "created_at", "id IN ('"+strings.Join(events[:3], "','")+"')", old)
	age("events", "created_at", "id = '"+events[3]+"'", young)
	e.write("UPDATE connector_deliveries SET state = 0, due = 9000000000000000 WHERE event_id = $1", events[1])
	before := testutil.ToFloat64(prunedTotal.WithLabelValues("event"))
	prune("3 3 3 0 1")
	if counted := testutil.ToFloat64(prunedTotal.WithLabelValues("event")) - before; counted != 3 {
		t.Errorf("counted %v", counted)
	}
	if warned := logs.FilterLevelExact(zap.WarnLevel).All(); len(warned) != 1 || warned[0].ContextMap()["deliveries"] != int64(1) {
		t.Errorf("logged: %v", logs.All())
	}
	for i, event := range events {
		if kept := e.ask("SELECT count(*) FROM connector_deliveries WHERE event_id = $1", event); (kept == "1") != (i >= 3) {
			t.Errorf("event %d: %s deliveries", i, kept)
		}
	}
	e.write("DELETE FROM connector_events WHERE id = $1", events[4])
	prune("2 2 2 0 1") // whose event is gone

	done := e.do("alice", "POST", path+"/replays", longAgo+"}")
	e.replayed(done.Header.Get("Location"))
	e.write("INSERT INTO connector_replays SELECT $1, subscription_id, since, until, states, 'running', position, replayed, total, 'x', created_at, updated_at FROM connector_replays", newReplayID())
	age("replays", "updated_at", "true", young)
	prune("2 2 2 2 1")
	age("replays", "updated_at", "true", time.Hour)
	prune("2 2 2 1 1") // that which runs stays
	e.write("DELETE FROM connector_replays")

	age("subscriptions", "updated_at", "true", old)
	prune("2 2 2 0 1")
	e.write("UPDATE connector_subscriptions SET status = 'ended'")
	prune("2 2 2 0 0")

	now := time.Now()
	for i, expired := range []time.Duration{-time.Hour, young, old} {
		expiring := e.subscribe("alice", fmt.Sprint(i)).id()
		e.write("UPDATE connector_subscriptions SET expires_at = $1 WHERE id = $2", micros(now.Add(-expired)), expiring)
	}
	prune("2 2 2 0 2") // a month ago
}

// What is not removed costs nothing: the writer of a file must not read it all.
func TestRetentionIsIndexed(t *testing.T) {
	e := start(t, site)
	for statement, index := range map[string]string{
		removeFrom("connector_replays", endedReplays):               "SEARCH connector_replays USING INDEX connector_replays_ended (updated_at<?)",
		removeFrom("connector_subscriptions", endedSubscriptions):   "SEARCH connector_subscriptions USING INDEX connector_subscriptions_ended (updated_at<?)",
		removeFrom("connector_subscriptions", expiredSubscriptions): "SEARCH connector_subscriptions USING INDEX connector_subscriptions_expiring (expires_at<?)",
	} {
		plan := strings.Join(e.rows("EXPLAIN QUERY PLAN "+statement, 1, 2), "\n")
		if !strings.Contains(plan, index) || strings.Contains(plan, "SCAN") || !strings.Contains(plan, "(id=?)") {
			t.Errorf("%s:\n%s", statement, plan)
		}
	}
}

// More than one transaction takes is removed too, also behind what a wrong clock
// has made young, and the rest stays.
func TestRetentionOfMany(t *testing.T) { eachDatabase(t, retentionOfMany) }

func retentionOfMany(t *testing.T, e *edge, _ string) {
	sub := e.subscribe("alice", "p1").id()
	const n, kept = 2*prunedRows + 300, 500
	e.bulk(sub, n, 1)
	e.write("INSERT INTO connector_attempts SELECT id, 1, 0, 0, 200, '' FROM connector_deliveries")
	p, _ := e.pruner(100 * time.Hour)
	e.write("UPDATE connector_events SET created_at = created_at - $1", (100*time.Hour - kept*time.Second).Microseconds())
	e.write("UPDATE connector_events SET created_at = created_at + 10000000000000 WHERE id = 'evt_bulk_7'")
	if err := p.prune(context.Background()); err != nil {
		t.Fatal(err)
	}
	left := e.ask("SELECT count(*) FROM connector_deliveries")
	if e.tables() != left+" "+left+" "+left+" 0 1" {
		t.Errorf("left: %s", e.tables())
	}
	var number int
	if fmt.Sscan(left, &number); number < kept-30 || number > kept+1 {
		t.Errorf("%d are left, of %d that are young", number, kept)
	}
	if wrong := e.ask("SELECT count(*) FROM connector_events WHERE id = 'evt_bulk_7'"); wrong != "1" {
		t.Error("the one of a wrong clock is not left")
	}
}

// One node prunes at a time.
func TestRetentionElsewhere(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge, _ string) {
		if e.db().Dialect() != datastore.PostgreSQL {
			t.Skip("a file has one node")
		}
		e.bulk(e.subscribe("alice", "p1").id(), 10, 1)
		p, _ := e.pruner(0)
		err := e.db().Postgres(context.Background(), func(conn *pgx.Conn) error {
			if _, err := conn.Exec(context.Background(), "SELECT pg_advisory_lock(hashtext('connector_retention'))"); err != nil {
				return err
			}
			return p.prune(context.Background())
		})
		if err != nil || e.tables() != "10 0 10 0 1" {
			t.Errorf("left: %s, %v", e.tables(), err)
		}
		eventually(t, "the end of the other's session", func() bool {
			err := p.prune(context.Background())
			return err == nil && e.tables() == "0 0 0 0 1"
		})
	})
}

// A config's own retention is what its worker goes by.
func TestRetentionWorker(t *testing.T) {
	defer func(was time.Duration) { firstPrune = was }(firstPrune)
	firstPrune = 50 * time.Millisecond
	e := start(t, site)
	hook := newReceiver(t, nil)
	path := "/subscriptions/" + e.subscribe("alice", "p1", "target_url", hook.URL).id()
	e.publish("p1", "task.create", "{}")
	e.settled(path, 1)
	e.write("UPDATE connector_events SET created_at = created_at - $1", (5 * 24 * time.Hour).Microseconds())
	time.Sleep(4 * firstPrune)
	if left := e.tables(); left != "1 1 1 0 1" {
		t.Fatalf("left: %s", left)
	}
	e.load("", `respond "the engine ends"`)
	e.load("retention 97h", site)
	eventually(t, "the pruning", func() bool { return e.tables() == "0 0 0 0 1" })
	e.do("alice", "GET", path+"/deliveries", "").is(t, http.StatusOK, "")
	eventually(t, "its line in the log", func() bool { return strings.Contains(e.logs(), "removed what is older than the retention") })
}
