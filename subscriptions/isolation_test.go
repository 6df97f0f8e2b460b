package subscriptions

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Endpoints that hang, with more that waits for them, hold up only themselves:
// all others get everything while none of them has answered.
func TestIsolation(t *testing.T) { eachDatabase(t, isolation) }

func isolation(t *testing.T, e *edge, options string) {
	const hanging, healthy, backlog, events = 20, 30, 100, 5
	e.load(options, roomy)
	eventually(t, "the database", func() bool {
		status, _ := e.try("GET", "/subscriptions", "")
		return status == http.StatusOK
	})
	hung, _ := gate(t)
	for i := range hanging {
		e.subscribe("alice", "proj1", "target_url", hung.URL+"/"+strconv.Itoa(i))
	}
	well := newReceiver(t, nil)
	for i := range healthy {
		e.subscribe("bob", "proj2", "target_url", well.URL+"/"+strconv.Itoa(i))
	}
	for range backlog / 100 {
		e.publishMany("proj1", 100)
	}
	eventually(t, "requests to all that hang", func() bool { return len(hung.seen()) == hanging*8 })
	var published []string
	for range events {
		published = append(published, e.publishMany("proj2", 1)...)
		e.publishMany("proj1", 1)
	}
	eventually(t, "all events of the healthy ones", func() bool { return len(well.seen()) >= healthy*events })
	counts := arrivals(well)
	for _, id := range published {
		if counts[id] != healthy {
			t.Errorf("%s arrived %d times", id, counts[id])
		}
	}
}

// What waits for an endpoint that is dead is not looked at again and again,
// however much it is.
func TestDeadBacklog(t *testing.T) { eachDatabase(t, deadBacklog) }

func deadBacklog(t *testing.T, e *edge, options string) {
	backlog := 10_000 // BACKLOG=100000 takes minutes with the race detector
	if n := os.Getenv("BACKLOG"); n != "" {
		if _, err := fmt.Sscan(n, &backlog); err != nil {
			t.Fatal(err)
		}
	}
	sub := e.subscribe("alice", "p1", "target_url", "http://"+freeAddr(t)).id()
	e.bulk(sub, backlog, 0)
	e.do("alice", "PATCH", "/subscriptions/"+sub, `{"ordered":false}`).is(t, http.StatusOK, "")
	eventually(t, "its circuit to open", func() bool {
		n, _ := strconv.Atoi(e.ask("SELECT count(*) FROM connector_attempts"))
		return n >= 10 && e.ask("SELECT count(*) FROM connector_deliveries WHERE node IS NOT NULL") == "0"
	})
	const seconds = 2
	if done := e.statements(options, seconds*time.Second); len(done) > 12 { // of a heartbeat every 5 seconds
		t.Errorf("%d statements in %d seconds: %q", len(done), seconds, done)
	}
	if n, _ := strconv.Atoi(e.ask("SELECT count(*) FROM connector_attempts")); n > 30 {
		t.Errorf("%d attempts", n)
	}
}

// statements returns what is asked of the database in a time: on SQLite,
// transactions that write, and claims do; on PostgreSQL, what a look at all
// sessions every few milliseconds shows.
func (e *edge) statements(options string, during time.Duration) (seen []string) {
	e.t.Helper()
	if options == "" {
		before := e.metric("caddy_connector_commit_size_count")
		time.Sleep(during)
		n, _ := strconv.Atoi(e.metric("caddy_connector_commit_size_count"))
		m, _ := strconv.Atoi(before)
		return make([]string, n-m)
	}
	conn, err := pgx.Connect(e.t.Context(), os.Getenv("DELIVER_DSN"))
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	found := make(map[string]bool)
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		rows, err := conn.Query(e.t.Context(), `SELECT pid || ' ' || query_start || ' ' || left(query, 60) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND query_start > $1`, end.Add(-during))
		if err != nil {
			e.t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			e.t.Fatal(err)
		}
		for _, text := range texts {
			found[text] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// metric returns the value of a metric without labels, or "" where it is not
// there.
func (e *edge) metric(name string) string {
	e.t.Helper()
	text := (&edge{t: e.t, addr: e.admin}).do("", "GET", "/metrics", "").text
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// What there is to be sent is told over /metrics, without a look at what is
// finished.
func TestBacklogMetrics(t *testing.T) { eachDatabase(t, backlogMetrics) }

func backlogMetrics(t *testing.T, e *edge, _ string) {
	*theBacklog = backlog{}
	hook, open := gate(t)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	paused := e.subscribe("alice", "p2", "target_url", hook.URL).id()
	e.do("alice", "POST", "/subscriptions/"+paused+"/pause", "").is(t, http.StatusOK, "")
	expect := func(name, want string) {
		t.Helper()
		eventually(t, name+" to be "+want, func() bool { return e.metric("caddy_deliveries_"+name) == want })
	}
	expect("pending", "0")
	expect("oldest_due_seconds", "0")
	expect("in_flight", "0")
	expect("held", "0")
	for range 10 {
		e.publish("p1", "task.create", "{}")
	}
	e.publish("p2", "task.create", "{}") // it is taken up, and given back
	eventually(t, "requests", func() bool { return len(hook.seen()) == 8 })
	expect("in_flight", "8")
	expect("held", "10")
	expect("pending", "0") // it was counted a moment ago
	theBacklog.at = time.Time{}
	expect("pending", "11")

	// what is due since long ago counts where it can be sent
	e.write("UPDATE connector_deliveries SET due = $1 WHERE subscription_id = $2", micros(time.Now().Add(-time.Hour)), paused)
	overdue := func() float64 {
		t.Helper()
		theBacklog.at = time.Time{}
		value, err := strconv.ParseFloat(e.metric("caddy_deliveries_oldest_due_seconds"), 64)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	if age := overdue(); age < 0 || age > 1800 {
		t.Errorf("paused: overdue for %v s", age)
	}
	e.write("UPDATE connector_deliveries SET due = $1 WHERE subscription_id = $2 AND state = 0", micros(time.Now().Add(-time.Hour)), sub)
	if age := overdue(); age < 3599 || age > 4200 {
		t.Errorf("overdue for %v s, want an hour", age)
	}
	open()
	expect("held", "0")
	theBacklog.at = time.Time{}
	expect("pending", "1")

	e.bulk(paused, 5000, 1)
	e.write("ANALYZE")
	for query, args := range map[string][]any{countFree: {int64(1)}, countLeased: nil} {
		plan := e.explain(query, args...)
		if !strings.Contains(plan, "connector_deliveries_free") && !strings.Contains(plan, "connector_deliveries_leased") {
			t.Errorf("%s\nis carried out without the partial index:\n%s", query, plan)
		}
	}
}

// explain returns how the database carries out a query.
func (e *edge) explain(query string, args ...any) (plan string) {
	e.t.Helper()
	how := "EXPLAIN QUERY PLAN "
	if e.db().Dialect() != "sqlite" {
		how = "EXPLAIN "
	}
	rows, err := e.db().Query(e.t.Context(), how+query, args...)
	if err != nil {
		e.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		columns, _ := rows.Columns()
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			e.t.Fatal(err)
		}
		plan += fmt.Sprintln(*values[len(values)-1].(*any))
	}
	return plan
}
