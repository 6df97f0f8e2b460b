package subscriptions

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// idleStore is a store whose engine does not run.
func (e *edge) idleStore() *Store {
	engine := delivery.New(delivery.Config{Node: "test", Logger: zap.NewNop()})
	return &Store{db: e.db(), engine: engine, batcher: newBatcher()}
}

// crowd makes n paused subscriptions to a project.
func (e *edge) crowd(resource string, n int) {
	e.t.Helper()
	first := e.subscribe("crowd-"+resource, resource, "target_url", target+"/"+resource).id()
	e.write("UPDATE connector_subscriptions SET status = 'paused' WHERE id = $1", first)
	e.write(`INSERT INTO connector_subscriptions (`+columns+`, sealed)
		WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
		SELECT id || n, owner, target_url, resource_type, resource_id, events, status, ordered, flat, filter, signing, rate_limit,
			expires_at, created_at, updated_at, sealed FROM connector_subscriptions, numbers WHERE id = $2`, n, first)
}

func eventsOf(resource, prefix string, n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{ID: fmt.Sprint(prefix, i), Type: "task.create", ResourceID: resource, Data: json.RawMessage("{}")}
	}
	return events
}

// While a request with many deliveries is published, others are too.
func TestALargeRequestLetsOthersIn(t *testing.T) { eachDatabase(t, aLargeRequestLetsOthersIn) }

func aLargeRequestLetsOthersIn(t *testing.T, e *edge, _ string) {
	const subscriptions, events = 600, 30
	e.crowd("large", subscriptions)
	e.subscribe("alice", "small")
	store := e.idleStore()
	type outcome struct {
		results []Published
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		results, err := store.Publish(t.Context(), eventsOf("large", "large_", events))
		done <- outcome{results, err}
	}()
	stored := func() string { return e.ask("SELECT count(*) FROM connector_events WHERE id LIKE 'large%'") }
	eventually(t, "the first events", func() bool { return stored() != "0" })
	if small, err := store.Publish(t.Context(), eventsOf("small", "small_", 1)); err != nil || small[0].Deliveries != 1 {
		t.Errorf("the small request: %+v, %v", small, err)
	}
	if n := stored(); n == fmt.Sprint(events) {
		t.Error("the small request had to wait for all of the large one")
	}
	large := <-done
	for i, result := range large.results {
		if want := (Published{fmt.Sprint("large_", i), false, subscriptions}); result != want {
			t.Errorf("event %d: %+v", i, result)
		}
	}
	if large.err != nil || len(large.results) != events {
		t.Errorf("%d results, %v", len(large.results), large.err)
	}
	// each transaction has its time
	if n := e.ask("SELECT max(n) FROM (SELECT count(*) AS n FROM connector_deliveries WHERE event_id LIKE 'large%' GROUP BY since) AS c"); n != "1800" {
		t.Errorf("a transaction inserted %s deliveries", n)
	}
	if again, err := store.Publish(t.Context(), eventsOf("large", "large_", events)); err != nil || again[events-1] != (Published{"large_29", true, subscriptions}) {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// An event is published to all of its subscriptions at once, however many.
func TestAnEventIsNotSplit(t *testing.T) { eachDatabase(t, anEventIsNotSplit) }

func anEventIsNotSplit(t *testing.T, e *edge, _ string) {
	const many = maxCandidates + 200
	e.crowd("many", many)
	e.crowd("few", maxShared)
	e.crowd("more", maxShared+1)
	store := e.idleStore()
	events := slices.Concat(eventsOf("many", "a", 1), eventsOf("few", "b", 1), eventsOf("many", "c", 1), eventsOf("more", "d", 2), eventsOf("none", "e", 1))
	results, err := store.Publish(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{many, maxShared, many, maxShared + 1, maxShared + 1, 0} {
		if results[i].Deliveries != want || results[i].Duplicate {
			t.Errorf("event %d: %+v, want %d", i, results[i], want)
		}
	}
	if got := e.ask("SELECT count(*) FROM connector_deliveries"); got != fmt.Sprint(2*many+maxShared+2*(maxShared+1)) {
		t.Errorf("%s deliveries", got)
	}
}

// Requests that may be large do not share a transaction, and others share no more
// than it may have.
func TestWhatSharesATransaction(t *testing.T) { eachDatabase(t, whatSharesATransaction) }

func whatSharesATransaction(t *testing.T, e *edge, _ string) {
	e.crowd("many", maxCandidates+200)
	e.crowd("few", maxShared)
	e.crowd("more", maxShared+1)
	store := e.idleStore()
	var subs []*submission
	for i, resource := range []string{"few", "more", "few", "many", "few", "none", "many", "few", "few", "more"} {
		subs = append(subs, &submission{batch: []publication{{event: eventsOf(resource, fmt.Sprint("e", i, "_"), 1)[0]}}, done: make(chan error, 1)})
	}
	store.publishTogether(subs)
	for i, sub := range subs {
		err, resource := <-sub.done, sub.batch[0].event.ResourceID
		if isLarge := resource == "many" || resource == "more"; isLarge != errors.Is(err, errLarge) || !isLarge && err != nil {
			t.Errorf("request %d, to %s: %v", i, resource, err)
		}
	}
	if got := e.ask("SELECT count(*) FROM connector_deliveries"); got != fmt.Sprint(5*maxShared) {
		t.Errorf("%s deliveries", got)
	}
}

// What a request had published before it failed are duplicates when it comes again.
func TestALargeRequestFails(t *testing.T) {
	e := start(t, site)
	e.crowd("large", 900)
	e.exec(`CREATE TRIGGER poison BEFORE INSERT ON connector_events WHEN new.id = 'e5' BEGIN SELECT raise(ABORT, 'no'); END`)
	store := e.idleStore()
	if results, err := store.Publish(t.Context(), eventsOf("large", "e", 8)); err == nil {
		t.Fatalf("published: %+v", results)
	}
	if got := e.ask("SELECT count(*) || ' ' || (SELECT count(*) FROM connector_deliveries) FROM connector_events"); got != "4 3600" { // two transactions
		t.Errorf("events and deliveries: %s", got)
	}
	e.exec("DROP TRIGGER poison")
	results, err := store.Publish(t.Context(), eventsOf("large", "e", 8))
	if err != nil {
		t.Fatal(err)
	}
	for i, result := range results {
		if result.Duplicate != (i < 4) || result.Deliveries != 900 {
			t.Errorf("event %d: %+v", i, result)
		}
	}
}
