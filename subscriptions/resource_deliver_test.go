package subscriptions

import (
	"encoding/json"
	"testing"
)

// The seed's flow from its first step: list the projects, subscribe to one of
// them, and see its events arrive.
func TestDeliverListed(t *testing.T) { eachDatabase(t, deliverListed) }

func deliverListed(t *testing.T, e *edge, options string) {
	a := newApp(t, lists(map[string][][2]any{"alice": {{"proj1", "Website"}, {"proj2", "Wiki"}}, "bob": {{"proj2", "Wiki"}}}))
	e.load(options, with("from "+a.URL+"/projects"))
	eventually(t, "the database", func() bool {
		status, _ := e.try("GET", "/subscriptions", "")
		return status == 200
	})
	listed := e.do("alice", "GET", "/resources/project", "")
	var found []map[string]string
	if err := json.Unmarshal([]byte(listed.text), &found); err != nil || len(found) != 2 || found[0]["value"] != "Website" {
		t.Fatalf("%v: %s", err, listed.text)
	}
	id := found[0]["id"]
	hook := newReceiver(t, nil)
	path := "/subscriptions/" + e.subscribe("alice", id, "target_url", hook.URL).id()
	e.do("bob", "POST", "/subscriptions", project(id, "target_url", hook.URL)).is(t, 403, "resource_denied")

	event := e.publish(id, "task.create", "{}")
	eventually(t, "the push", func() bool { return len(hook.seen()) == 1 })
	if ids := hook.ids(); ids[0] != event {
		t.Errorf("arrived: %v", ids)
	}
	e.do("alice", "PUT", path, `{"events":["task.delete"]}`).is(t, 200, "")
	e.publish(id, "task.create", "{}")
	event = e.publish(id, "task.delete", "{}")
	eventually(t, "the changed event", func() bool { return len(hook.seen()) == 2 })
	if ids := hook.ids(); ids[1] != event {
		t.Errorf("arrived: %v", ids)
	}
	e.do("alice", "DELETE", path, "").is(t, 204, "")
}
