package subscriptions

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/datastore"
)

// A filter is parsed once for all events of a batch, while there is room.
func TestFiltersAreParsedOnce(t *testing.T) {
	event := Event{Type: "task.create", ResourceID: "7", Data: json.RawMessage(`{"status":"done"}`)}
	p := &publication{event: event}
	f := &fanOut{numbers: map[interest]int{event.interest(): 0}, complete: 1, found: [][]candidate{{
		{events: []string{"*"}, filter: `{"status":["open","done"]}`},
		{events: []string{"*"}, filter: `{"status":"open"}`},
		{events: []string{"task.delete"}, filter: `{"status":"done"}`},
	}}}
	match := func(want int) {
		t.Helper()
		if err := f.match(p); err != nil || len(p.matching) != want {
			t.Errorf("%d match: %v", len(p.matching), err)
		}
	}
	match(1)
	first, second, third := &f.found[0][0], &f.found[0][1], &f.found[0][2]
	if first.parsed == nil || second.parsed == nil || third.parsed != nil || f.kept != len(first.filter)+len(second.filter) {
		t.Errorf("kept %d bytes: %v, %v, %v", f.kept, first.parsed, second.parsed, third.parsed)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = f.filter(first) }); n != 0 {
		t.Errorf("%v allocations for a filter that is known", n)
	}
	match(1)

	first.parsed, f.kept = nil, keptFilters-len(first.filter)+1
	match(1)
	if first.parsed != nil {
		t.Error("kept without room")
	}
}

// What an event is for is found by an index, however many subscriptions others
// have.
func TestCandidatesAreFoundByAnIndex(t *testing.T) { eachDatabase(t, candidatesAreFoundByAnIndex) }

func candidatesAreFoundByAnIndex(t *testing.T, e *edge, _ string) {
	e.crowd("p1", 5000)
	e.write("UPDATE connector_subscriptions SET owner = id, resource_type = 'subscription', resource_id = '*'")
	e.crowd("p2", 5000)
	e.write("UPDATE connector_subscriptions SET owner = id, resource_id = id WHERE owner = 'crowd-p2'")
	e.write("ANALYZE")
	plan := e.explain(findOperational, "alice", "sub_1", int64(1), int64(maxTold), "subscription")
	if !strings.Contains(plan, "connector_subscriptions_owner") {
		t.Errorf("an owner's subscriptions to the edge's events are found thus:\n%s", plan)
	}
	e.write("UPDATE connector_subscriptions SET owner = 'alice' WHERE resource_id = '*'")
	err := e.db().Write(t.Context(), func(ctx context.Context, tx *datastore.Tx) error {
		event := Event{ResourceType: reservedResource, ResourceID: "sub_1", AccountID: "alice"}
		found, err := operationalFanOut(ctx, tx, event)
		if err == nil && len(found.found[0]) != maxTold {
			t.Errorf("%d of an owner's subscriptions are told", len(found.found[0]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	args := []any{`[["p2","","task"],["p3","",""]]`, int64(1), int64(maxCandidates)}
	if e.db().Dialect() == "postgres" {
		args = append(args, []string{"p2", "p3"})
	}
	plan = e.explain(findCandidates[e.db().Dialect()], args...)
	if !strings.Contains(plan, "connector_subscriptions_resource") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("subscriptions to resources are found thus:\n%s", plan)
	}
}
