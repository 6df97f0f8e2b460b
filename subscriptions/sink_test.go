package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/datastore"
)

// What another part of the edge tells of its connections reaches the owner's own
// subscriptions to that, if what it tells of is committed, and nobody else's.
func TestEventsOfConnections(t *testing.T) { eachDatabase(t, eventsOfConnections) }

func eventsOfConnections(t *testing.T, e *edge, _ string) {
	one, all, others := newReceiver(t, nil), newReceiver(t, nil), newReceiver(t, nil)
	subscribe := func(user, resourceType, resource string, hook *receiver, events ...string) {
		t.Helper()
		e.subscribe(user, resource, "resource_type", resourceType, "target_url", hook.URL, "events", events)
	}
	subscribe("alice", "connection", "c1", one, "connection.reauth_required", "connection.recovered")
	subscribe("alice", "connection", "*", all, "connection.*")
	subscribe("bob", "connection", "*", others, "*")
	subscribe("bob", "connection", "c1", others, "*")
	subscribe("alice", "project", "c1", others, "*")
	subscribe("alice", "subscription", "*", others, "*")
	tell := func(eventType, owner, id string, after error) {
		t.Helper()
		err := e.db().Write(t.Context(), func(ctx context.Context, tx *datastore.Tx) error {
			event := datastore.Event{
				Type: eventType, ResourceType: "connection", ResourceID: id, Owner: owner,
				Data: json.RawMessage(`{"connection_id":"` + id + `","connector_id":"crm","name":"mine","status":"active"}`),
			}
			if err := tx.Tell(ctx, event); err != nil {
				return err
			}
			return after
		})
		if !errors.Is(err, after) {
			t.Fatalf("%v, want %v", err, after)
		}
	}
	tell("connection.recovered", "alice", "c1", errors.New("rolled back"))
	tell("connection.created", "alice", "c1", nil)
	tell("connection.recovered", "alice", "c1", nil)
	tell("connection.recovered", "alice", "c2", nil)
	tell("connection.deleted", "carol", "c1", nil)
	eventually(t, "what alice is told", func() bool { return len(one.seen()) >= 1 && len(all.seen()) >= 3 })
	var pushed struct {
		Type       string
		ResourceID string `json:"resource_id"`
		Data       map[string]string
	}
	if err := json.Unmarshal(one.seen()[0].body, &pushed); err != nil {
		t.Fatal(err)
	}
	if pushed.Type != "connection.recovered" || pushed.ResourceID != "c1" || pushed.Data["connector_id"] != "crm" {
		t.Errorf("pushed %s", one.seen()[0].body)
	}
	schema := specified().At("webhooks", pushed.Type, "post", "requestBody", "content", "application/json", "schema")
	if err := specified().Validate(schema, string(one.seen()[0].body)); err != nil {
		t.Errorf("openapi.json has another %s: %v", pushed.Type, err)
	}
	if stored := e.ask("SELECT count(*) FROM connector_events"); stored != "3" {
		t.Errorf("%s events are kept", stored)
	}

	// nobody else publishes such events, and what has no type is not for them
	e.do("app", "POST", "/events", `{"type":"connection.created","resource_type":"connection","resource_id":"c1","data":{}}`).
		is(t, http.StatusUnprocessableEntity, "event_resource_type_reserved")
	e.publish("c1", "project.archive", "{}")
	eventually(t, "the project's event", func() bool { return len(others.seen()) == 1 })
	if len(one.seen()) != 1 || len(all.seen()) != 3 || !strings.Contains(string(others.seen()[0].body), "project.archive") {
		t.Errorf("%d, %d, %s", len(one.seen()), len(all.seen()), others.seen()[0].body)
	}
}
