package subscriptions

import (
	"net/http"
	"strings"
	"testing"
)

// What two readers of the same JSON would read differently is refused: a member
// that is there twice, and half of a surrogate pair, in whose place each puts
// something else.
func TestAmbiguousJSON(t *testing.T) {
	e := start(t, site)
	valid := members("target_url", target, "resource_type", "project", "resource_id", "p1", "events", []string{"*"})
	path := "/subscriptions/" + e.subscribe("alice", "mine").id()
	const half = `"\ud83d"`
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"target twice":    {"POST", "/subscriptions", `{"target_url":"https://evil.example/",` + valid[1:], 400, "body_invalid"},
		"escaped":         {"POST", "/subscriptions", `{"\u0074arget_url":"https://evil.example/",` + valid[1:], 400, "body_invalid"},
		"byte order mark": {"POST", "/subscriptions", "\ufeff" + valid, 400, "body_invalid"},
		"half an id":      {"POST", "/subscriptions", strings.Replace(valid, `"p1"`, half, 1), 422, "resource_id_invalid"},
		"header twice":    {"PATCH", path, `{"headers":{"x-a":"1","x-a":"2"}}`, 422, "headers_invalid"},
		"change twice":    {"PATCH", path, `{"status":"paused","status":"active"}`, 400, "body_invalid"},
		"event's type":    {"POST", "/events", `{"type":"task.delete",` + event[1:], 400, "body_invalid"},
		"an event's type": {"POST", "/events", `[{"type":"task.delete",` + event[1:] + "]", 422, "event_invalid"},
		"event's half id": {"POST", "/events", strings.Replace(event, `"p1"`, half, 1), 422, "event_resource_id_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			e.do("alice", test.method, test.path, test.body).is(t, test.status, test.code)
		})
	}
	for _, member := range []string{`"type":"task.delete"`, `"id":"other"`} {
		e.do("alice", "POST", "/events", "{"+member+","+cloudEvent[1:], "Content-Type: application/cloudevents+json").is(t, http.StatusBadRequest, "body_invalid")
	}
	// what is the publisher's own goes through as it is
	e.do("alice", "POST", "/events", strings.Replace(event, "{}", `{"a":1,"a":"\ud83d"}`, 1)).is(t, http.StatusAccepted, "")
}

// Data is not nested so deeply that what has it inside could not be read.
func TestDeepData(t *testing.T) {
	e := start(t, strings.Replace(site, "max_data 64", "", 1))
	path := "/subscriptions/" + e.subscribe("alice", "p1").id()
	nested := func(levels int) string {
		return strings.Repeat(`{"[\"{[":[`, levels/2) + strings.Repeat("]}", levels/2)
	}
	binary := []string{"Content-Type: application/json", "ce-specversion: 1.0", "ce-id: 1", "ce-source: /a", "ce-type: task.create", "ce-subject: p1"}
	e.do("app", "POST", "/events", strings.Replace(event, "{}", nested(502), 1)).is(t, 422, "event_data_invalid")
	e.do("app", "POST", "/events", nested(502), binary...).is(t, 422, "event_data_invalid")
	e.do("app", "POST", "/events", nested(500), binary...).is(t, 202, "")
	found, _ := e.deliveries(path, "")
	if len(found) != 1 {
		t.Fatalf("deliveries: %v", found)
	}
	if got := e.do("alice", "GET", "/deliveries/"+found[0]["id"].(string), ""); !strings.Contains(got.text, nested(500)) {
		t.Errorf("answer %.200s", got.text)
	}
}
