package subscriptions

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// What can be said beside the events is kept, shown, changed and taken back.
func TestTerms(t *testing.T) { eachDatabase(t, changeTerms) }

func changeTerms(t *testing.T, e *edge, _ string) {
	sub := e.subscribe("alice", "p1", "flat", true, "filter", map[string]any{"done": true}, "rate_limit", 7, "expires_at", "2999-01-01T00:00:00Z")
	want := map[string]any{
		"flat": true, "filter": map[string]any{"done": true}, "rate_limit": 7.0,
		"expires_at": "2999-01-01T00:00:00Z", "expiration_date": "2999-01-01T00:00:00Z",
	}
	check := func(got reply) {
		t.Helper()
		for name, value := range want {
			if found, there := got.body[name]; !there || !reflect.DeepEqual(found, value) {
				t.Errorf("%s is %v, want %v", name, found, value)
			}
		}
	}
	check(sub)
	path := "/subscriptions/" + sub.id()
	for _, change := range []struct {
		method, body string
		want         map[string]any
	}{
		{"PATCH", `{"status":"active"}`, nil},
		{"PATCH", `{"flat":false}`, map[string]any{"flat": false}},
		{"PATCH", `{"filter":{"n":[1,null]}}`, map[string]any{"filter": map[string]any{"n": []any{1.0, nil}}}},
		{"PATCH", `{"filter":null}`, map[string]any{"filter": nil}},
		{"PATCH", `{"rate_limit":1000}`, map[string]any{"rate_limit": 1000.0}},
		{"PATCH", `{"rate_limit":null}`, map[string]any{"rate_limit": nil}},
		{"PATCH", `{"expires_at":null}`, map[string]any{"expires_at": nil, "expiration_date": nil}},
		{"PATCH", `{"expiration_date":"2998-01-01T00:00:00Z"}`, map[string]any{"expires_at": "2998-01-01T00:00:00Z", "expiration_date": "2998-01-01T00:00:00Z"}},
		{"PUT", `{"events":["*"],"flat":true,"rate_limit":3,"filter":{"a":1},"expires_at":"2997-01-01T00:00:00Z"}`, map[string]any{
			"flat": true, "rate_limit": 3.0, "filter": map[string]any{"a": 1.0}, "expires_at": "2997-01-01T00:00:00Z", "expiration_date": "2997-01-01T00:00:00Z",
		}},
		{"PUT", `{"events":["*"]}`, nil},
	} {
		got := e.do("alice", change.method, path, change.body)
		got.is(t, http.StatusOK, "")
		for name, value := range change.want {
			want[name] = value
		}
		check(got)
		check(e.do("alice", "GET", path, ""))
	}
}

func TestTermsAreChecked(t *testing.T) {
	e := start(t, site)
	path := "/subscriptions/" + e.subscribe("alice", "p0").id()
	for members, code := range map[string]string{
		`"flat":1`:                                 "flat_invalid",
		`"flat":"true"`:                            "flat_invalid",
		`"filter":{}`:                              "filter_invalid",
		`"filter":[]`:                              "filter_invalid",
		`"filter":{"a":{}}`:                        "filter_invalid",
		`"filter":{"a..b":1}`:                      "filter_invalid",
		`"rate_limit":0`:                           "rate_limit_invalid",
		`"rate_limit":1001`:                        "rate_limit_invalid",
		`"rate_limit":-1`:                          "rate_limit_invalid",
		`"rate_limit":1.5`:                         "rate_limit_invalid",
		`"rate_limit":"7"`:                         "rate_limit_invalid",
		`"expires_at":"2020-01-01T00:00:00Z"`:      "expires_at_invalid",
		`"expires_at":12`:                          "expires_at_invalid",
		`"expiration_date":"2020-01-01T00:00:00Z"`: "expires_at_invalid",
	} {
		body := `{"target_url":"` + target + `","resource_type":"project","resource_id":"p1","events":["*"],` + members + `}`
		e.do("alice", "POST", "/subscriptions", body).is(t, http.StatusUnprocessableEntity, code)
		e.do("alice", "PUT", path, `{"events":["*"],`+members+`}`).is(t, http.StatusUnprocessableEntity, code)
		e.do("alice", "PATCH", path, `{`+members+`}`).is(t, http.StatusUnprocessableEntity, code)
	}
	// what is wrong with a filter is said
	got := e.do("alice", "PATCH", path, `{"filter":{"a":[]}}`)
	if got.body["message"] != "An array of the filter does not have 1 to 16 values." {
		t.Errorf("message %v", got.body["message"])
	}
}

// An expired subscription goes on when its end is put off.
func TestRenew(t *testing.T) { eachDatabase(t, renew) }

func renew(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	path := "/subscriptions/" + e.subscribe("alice", "p1", "target_url", hook.URL, "expires_at", "2999-01-01T00:00:00Z").id()
	expire(t, e)
	e.publish("p1", "task.create", "{}")
	e.do("alice", "PATCH", path, `{"expires_at":"2999-01-01T00:00:00Z"}`).is(t, http.StatusOK, "")
	id := e.publish("p1", "task.create", "{}")
	eventually(t, "the push", func() bool { return len(hook.seen()) > 0 })
	e.stays(hook, 1)
	if hook.ids()[0] != id {
		t.Errorf("arrived: %v", hook.ids())
	}
}

// flat: the data as it was published is the body, and it is what is signed.
func TestFlat(t *testing.T) { eachDatabase(t, flat) }

func flat(t *testing.T, e *edge, _ string) {
	const data = `{ "n": 9007199254740993,  "s":"<&>🎉"}`
	hook, wrapped := newReceiver(t, failFirst), newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL, "flat", true)
	e.subscribe("alice", "p1", "target_url", wrapped.URL)
	id := e.publish("p1", "task.create", data)
	eventually(t, "both attempts", func() bool { return len(hook.seen()) == 2 && len(wrapped.seen()) == 1 })
	for i, push := range hook.seen() { // also the one from the database
		if push.id != id || string(push.body) != data || push.header.Get("Webhook-Event-Type") != "task.create" || push.header.Get("Webhook-Resource-Id") != "p1" {
			t.Errorf("attempt %d: %v %s", i, push.header, push.body)
		}
		verify(t, push, sub.body["secret"].(string))
	}
	if push := wrapped.seen()[0]; string(push.body) == data || push.header["Webhook-Event-Type"] != nil {
		t.Errorf("the other subscription got %v %s", push.header, push.body)
	}
}

func TestFlatHeader(t *testing.T) {
	e := start(t, site)
	hook := newReceiver(t, nil)
	for i, id := range []string{"a b", "100%", "ü/ñ?", "\U0001f389\u2028", strings.Repeat("ü", 255)} {
		e.subscribe("alice", id, "target_url", hook.URL, "flat", true)
		e.do("app", "POST", "/events", members("type", "task.create", "resource_id", id, "data", struct{}{}, "resource_type", "project")).is(t, http.StatusAccepted, "")
		eventually(t, "the push", func() bool { return len(hook.seen()) == i+1 })
		want := []string{"a%20b", "100%25", "%C3%BC/%C3%B1?", "%F0%9F%8E%89%E2%80%A8", strings.Repeat("%C3%BC", 255)}[i]
		header := hook.seen()[i].header
		if got := header.Get("Webhook-Resource-Id"); got != want {
			t.Errorf("%q is sent as %q, want %q", id, got, want)
		}
		if got := header.Get("Webhook-Resource-Type"); got != "project" {
			t.Errorf("resource type %q", got)
		}
	}
}

// A filter keeps away what it does not match; what it is about can change.
func TestFilter(t *testing.T) { eachDatabase(t, filterEvents) }

func filterEvents(t *testing.T, e *edge, _ string) {
	hook, all := newReceiver(t, nil), newReceiver(t, nil)
	path := "/subscriptions/" + e.subscribe("alice", "p1", "target_url", hook.URL, "ordered", true, "filter", map[string]any{"status": []string{"done", "closed"}, "who.id": 1}).id()
	e.subscribe("alice", "p1", "target_url", all.URL)
	var want []string
	for data, matches := range map[string]bool{
		`{"status":"done","who":{"id":1.0}}`: true, `{"status":"open","who":{"id":1}}`: false, `{"status":"closed","who":[{"id":2},{"id":1}]}`: true,
		`{"status":"done"}`: false, `{}`: false,
	} {
		if id := e.publish("p1", "task.create", data); matches {
			want = append(want, id)
		}
	}
	eventually(t, "the pushes", func() bool { return len(hook.seen()) == len(want) && len(all.seen()) == 5 })
	if got := hook.ids(); !reflect.DeepEqual(got, want) {
		t.Errorf("arrived: %v, want %v", got, want)
	}
	e.do("alice", "PATCH", path, `{"filter":{"n":9007199254740993}}`).is(t, http.StatusOK, "")
	e.publish("p1", "task.create", `{"n":9007199254740992}`)
	id := e.publish("p1", "task.create", `{"n":9007199254740993}`)
	eventually(t, "the last", func() bool { return len(hook.seen()) == len(want)+1 })
	if got := hook.ids(); got[len(want)] != id {
		t.Errorf("arrived: %v, want %s", got, id)
	}
}

// An event of a type of resources is for that only; without it, for every type
// with that id, but not for what the edge itself has to tell.
func TestResourceType(t *testing.T) { eachDatabase(t, resourceType) }

func resourceType(t *testing.T, e *edge, _ string) {
	ids := map[string]string{}
	for _, name := range []string{"project", "task"} {
		ids[name] = e.subscribe("alice", "p1", "resource_type", name).id()
	}
	publish := func(pairs ...any) reply {
		t.Helper()
		return e.do("app", "POST", "/events", members(append(pairs, "type", "task.create", "resource_id", "p1", "data", struct{}{})...))
	}
	for given, want := range map[string]float64{"project": 1, "task": 1, "team": 0, "subscription.": 0} {
		got := publish("resource_type", given)
		if got.is(t, http.StatusAccepted, ""); got.body["deliveries"] != want {
			t.Errorf("%s: %s", given, got.text)
		}
	}
	for _, given := range []any{"", 1, true, "a b", strings.Repeat("a", 65)} {
		publish("resource_type", given).is(t, http.StatusUnprocessableEntity, "event_resource_type_invalid")
	}
	publish("resource_type", "subscription").is(t, http.StatusUnprocessableEntity, "event_resource_type_reserved")
	e.change(t, "UPDATE connector_subscriptions SET resource_type = 'subscription' WHERE id = $1", ids["task"])
	if got := publish("resource_type", nil); got.body["deliveries"] != 1.0 {
		t.Errorf("of any type: %s", got.text)
	}
}

func TestResourceTypeIsSent(t *testing.T) {
	e := start(t, site)
	e.do("app", "POST", "/events", `{"type":"task.create","resource_id":"p1","resource_type":"project","data":{}}`).is(t, http.StatusAccepted, "")
	if bodies := e.bodies(); !strings.Contains(bodies[0], `Z","resource_type":"project","resource_id":"p1",`) {
		t.Errorf("body %s", bodies[0])
	}
	if rows := e.rows("SELECT resource_type FROM connector_events"); rows[0] != "project" {
		t.Errorf("rows: %v", rows)
	}
}
