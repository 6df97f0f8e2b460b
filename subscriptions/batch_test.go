package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// together publishes requests of one event each in one batch.
func together(e *edge, events ...Event) (results []Published, errs []error) {
	store := e.idleStore()
	var subs []*submission
	for _, event := range events {
		event.Data = json.RawMessage(`{}`)
		subs = append(subs, &submission{batch: []publication{{event: event}}, done: make(chan error, 1)})
	}
	store.publishTogether(subs)
	for _, sub := range subs {
		results, errs = append(results, sub.batch[0].result), append(errs, <-sub.done)
	}
	return results, errs
}

func TestBatch(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge, options string) {
		e.subscribe("alice", "7")
		e.subscribe("alice", "7", "target_url", target+"/2", "events", []string{"task.create"})
		e.subscribe("bob", "7")
		e.subscribe("bob", "8")
		results, errs := together(e,
			Event{ID: "a", Type: "task.create", ResourceID: "7"},
			Event{ID: "b", Type: "task.update", ResourceID: "7"},
			Event{ID: "c", Type: "task.create", ResourceID: "7", AccountID: "bob"},
			Event{ID: "d", Type: "task.create", ResourceID: "8"},
			Event{ID: "e", Type: "task.create", ResourceID: "9"},
			Event{ID: "a", Type: "task.create", ResourceID: "7"},
		)
		want := []Published{{"a", false, 3}, {"b", false, 2}, {"c", false, 1}, {"d", false, 1}, {"e", false, 0}, {"a", true, 3}}
		for i := range want {
			if errs[i] != nil || results[i] != want[i] {
				t.Errorf("event %d: %+v, %v, want %+v", i, results[i], errs[i], want[i])
			}
		}
		if again, errs := together(e, Event{ID: "f", Type: "task.create", ResourceID: "8"}, Event{ID: "b", Type: "task.create", ResourceID: "8"}); errs[0] != nil ||
			errs[1] != nil || again[0] != (Published{"f", false, 1}) || again[1] != (Published{"b", true, 2}) {
			t.Errorf("a batch with an event of before: %+v, %v", again, errs)
		}
		rows, err := e.db().Query(t.Context(), "SELECT event_id FROM connector_deliveries ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var order string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			order += id
		}
		if order != "aaabbcdf" {
			t.Errorf("deliveries are in the order %q", order)
		}
	})
}

// TestBatchWithFailure has one event of a batch fail.
func TestBatchWithFailure(t *testing.T) {
	e := start(t, site)
	e.subscribe("alice", "7")
	e.exec(`CREATE TRIGGER poison BEFORE INSERT ON connector_events WHEN new.id = 'poison' BEGIN SELECT raise(ABORT, 'no'); END`)
	results, errs := together(e, Event{ID: "a", Type: "task.create", ResourceID: "7"}, Event{ID: "poison", Type: "task.create", ResourceID: "7"},
		Event{ID: "b", Type: "task.create", ResourceID: "7"})
	if errs[0] != nil || errs[1] == nil || errs[2] != nil || results[0].Deliveries != 1 || results[2].Deliveries != 1 {
		t.Errorf("%+v, %v", results, errs)
	}
	if got := e.rows("SELECT count(*) FROM connector_deliveries"); got[0] != "2" {
		t.Errorf("there are %s deliveries, want 2", got[0])
	}
}

// TestLeaveBatch has a publisher go before its turn.
func TestLeaveBatch(t *testing.T) {
	e := start(t, site)
	store := &Store{db: e.db(), batcher: newBatcher()}
	store.batcher.leading = true // somebody else, who takes long
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Publish(ctx, []Event{{ID: "a", ResourceID: "7"}}); err != context.Canceled {
		t.Errorf("the error is %v", err)
	}
	if left := len(store.batcher.waiting); left != 0 {
		t.Errorf("%d wait", left)
	}
}

// TestBatchPanics has something panic, outside of a transaction and in one.
func TestBatchPanics(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge, _ string) {
		e.subscribe("alice", "7")
		core, logged := observer.New(zap.DebugLevel)
		store := e.idleStore()
		store.engine.Logger = zap.New(core)
		submit := func(s *Store, p publication) error {
			p.event.Data = json.RawMessage(`{"planted":1}`)
			return store.batcher.submit(t.Context(), s, &submission{batch: []publication{p}, done: make(chan error, 1)})
		}
		without := *store
		without.db = nil
		if err := submit(&without, publication{event: Event{ID: "a", ResourceID: "7"}}); !errors.Is(err, errPanicked) {
			t.Errorf("without a database: %v", err)
		}
		if err := submit(store, publication{event: Event{ID: "b", ResourceID: "7"}, reserved: []bool{}}); !errors.Is(err, errPanicked) {
			t.Errorf("without a message: %v", err)
		}
		if err := submit(store, publication{event: Event{ID: "c", Type: "task.create", ResourceID: "7"}}); err != nil {
			t.Errorf("the next: %v", err)
		}
		if got := e.ask("SELECT max(id) || count(*) FROM connector_events"); got != "c1" {
			t.Errorf("stored: %s", got)
		}
		if logged.Len() != 2 || strings.Contains(fmt.Sprint(logged.All()), "planted") {
			t.Errorf("logged: %v", logged.All())
		}
	})
}
