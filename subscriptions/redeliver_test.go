package subscriptions

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetry(t *testing.T) { eachDatabase(t, retryDeliveries) }

func retryDeliveries(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub
	event := e.publish("p1", "task.create", `{"n":1}`)
	id := e.settled(path, 1)[0]
	number := strings.TrimPrefix(id, "dlv_")
	for i, state := range []int{1, 2, 3, 0} {
		e.write("UPDATE connector_deliveries SET state = $1, tries = 7, since = 5, due = 9000000000000000 WHERE id = $2", state, number)
		got := e.do("alice", "POST", "/deliveries/"+id+"/retry", "")
		got.is(t, http.StatusAccepted, "")
		if got.id() != id || got.body["attempts"].(float64) < float64(i+1) {
			t.Errorf("state %d: answer %s", state, got.text)
		}
		eventually(t, "the delivery", func() bool {
			return len(hook.seen()) == i+2 && e.do("alice", "GET", "/deliveries/"+id, "").body["state"] == "delivered"
		})
		replayed := state != 0 // what waits goes on waiting, as long as it would have
		if since := e.ask("SELECT since FROM connector_deliveries WHERE id = $1", number); (since != "5") != replayed {
			t.Errorf("state %d: since %s", state, since)
		}
	}
	for _, arrived := range hook.ids() {
		if arrived != event {
			t.Errorf("arrived: %v", hook.ids())
		}
	}
	if got := e.do("alice", "GET", "/deliveries/"+id, ""); len(got.body["attempt_list"].([]any)) != 5 {
		t.Errorf("attempts: %s", got.text)
	}
	e.do("alice", "POST", "/deliveries/"+id+"/retry", "", "Sec-Fetch-Site: cross-site").is(t, http.StatusForbidden, "cross_origin")
	e.do("alice", "GET", "/deliveries/"+id+"/retry", "").is(t, http.StatusMethodNotAllowed, "method_not_allowed")

	e.write("DELETE FROM connector_events")
	e.do("alice", "POST", "/deliveries/"+id+"/retry", "").is(t, http.StatusConflict, "event_expired")
	e.stays(hook, 5)
}

func TestRetryWhatReceivesNothing(t *testing.T) { eachDatabase(t, retryInactive) }

func retryInactive(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub
	e.publish("p1", "task.create", `{"n":1}`)
	id := e.settled(path, 1)[0]
	for _, test := range []struct{ change, code string }{
		{"status = 'paused'", "subscription_paused"}, {"status = 'disabled'", "subscription_disabled"},
		{"status = 'ended'", "subscription_ended"}, {"status = 'other'", "subscription_inactive"},
		{"status = 'active', expires_at = 5", "subscription_expired"},
	} {
		e.write("UPDATE connector_subscriptions SET "+test.change+" WHERE id = $1", sub)
		e.do("alice", "POST", "/deliveries/"+id+"/retry", "").is(t, http.StatusConflict, test.code)
		e.do("alice", "POST", path+"/replays", `{"since":"2020-01-01T00:00:00Z"}`).is(t, http.StatusConflict, test.code)
		if state := e.ask("SELECT state FROM connector_deliveries"); state != "1" {
			t.Errorf("%s: state %s", test.change, state)
		}
	}
	// of what waits where nothing is sent, nobody knows when it is tried
	e.write("UPDATE connector_deliveries SET state = 0")
	for status, known := range map[string]bool{"active": true, "paused": false} {
		e.write("UPDATE connector_subscriptions SET status = $1, expires_at = 5 WHERE id = $2", status, sub)
		found, _ := e.deliveries(path, "")
		one := e.do("alice", "GET", "/deliveries/"+id, "")
		if (found[0]["next_attempt_at"] != nil) != known || (one.body["next_attempt_at"] != nil) != known {
			t.Errorf("%s: %v", status, found)
		}
	}
	e.stays(hook, 1)
}

func TestTestPush(t *testing.T) { eachDatabase(t, testPush) }

func testPush(t *testing.T, e *edge, _ string) {
	status := http.StatusOK
	hook := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	created := e.subscribe("alice", "p1", "target_url", hook.URL, "events", []string{"project.*", "task.update"})
	path := "/subscriptions/" + created.id()
	verify := verifier(t, created)
	test := func(body string) reply {
		t.Helper()
		time.Sleep(testPace) // the rate's
		return e.do("alice", "POST", path+"/test", body)
	}
	got := test("")
	got.is(t, http.StatusOK, "")
	if got.body["delivered"] != true || got.body["status"] != 200.0 || got.body["error"] != nil || got.body["duration_ms"] == nil || len(got.body) != 4 {
		t.Errorf("answer %s", got.text)
	}
	push := hook.seen()[0]
	if err := verify(push.body, push.header); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(push.id, "evt_test_") || !strings.Contains(string(push.body), `"type":"task.update"`) ||
		!strings.Contains(string(push.body), `"resource_id":"p1"`) || !strings.Contains(string(push.body), push.id) {
		t.Errorf("sent %s", push.body)
	}
	limited := e.do("alice", "POST", path+"/test", "")
	if limited.is(t, http.StatusTooManyRequests, "rate_limited"); limited.Header.Get("Retry-After") != "1" {
		t.Errorf("header %v", limited.Header)
	}
	e.do("alice", "PUT", path, `{"events":["project.*"]}`).is(t, http.StatusOK, "")
	e.do("alice", "POST", path+"/pause", "").is(t, http.StatusOK, "")
	for body, want := range map[string]string{"": "project.archive", `{"type":"task.delete"}`: "task.delete", "{}": "project.archive"} {
		n := len(hook.seen())
		test(body).is(t, http.StatusOK, "")
		if sent := hook.seen()[n]; !strings.Contains(string(sent.body), `"type":"`+want+`"`) {
			t.Errorf("%s: sent %s", body, sent.body)
		}
	}
	if got := e.do("alice", "GET", path, ""); got.body["status"] != "paused" {
		t.Errorf("status %v", got.body["status"])
	}
	n := len(hook.seen())
	for body, code := range map[string]string{`{"type":"task.other"}`: "event_type_unknown", `{"type":1}`: "event_type_unknown", `{"type":"task.*"}`: "event_type_unknown"} {
		e.do("alice", "POST", path+"/test", body).is(t, http.StatusUnprocessableEntity, code)
	}
	e.do("alice", "POST", path+"/test", "[]").is(t, http.StatusBadRequest, "body_invalid")
	e.do("alice", "POST", path+"/test", "{}", "Content-Type: text/plain").is(t, http.StatusUnsupportedMediaType, "media_type_unsupported")
	e.do("alice", "POST", path+"/test", "", "Sec-Fetch-Site: cross-site").is(t, http.StatusForbidden, "cross_origin")
	if len(hook.seen()) != n {
		t.Error("what is refused was sent")
	}
	if stored := e.ask("SELECT count(*) FROM connector_events") + e.ask("SELECT count(*) FROM connector_deliveries"); stored != "00" {
		t.Errorf("stored: %s", stored)
	}
}

// A test that succeeds enables what was disabled; one that fails does not, and
// one that is answered 410 ends nothing.
func TestTestPushEnables(t *testing.T) { eachDatabase(t, testPushEnables) }

func testPushEnables(t *testing.T, e *edge, _ string) {
	status := http.StatusInternalServerError
	hook := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub
	e.do("alice", "POST", path+"/pause", "").is(t, http.StatusOK, "")
	e.publish("p1", "task.create", "{}")
	e.write("UPDATE connector_subscriptions SET status = 'disabled', failing_since = 5, warned = 2 WHERE id = $1", sub)
	for _, failing := range []struct {
		status int
		answer string
	}{{500, `"status":500,"error":"status"`}, {410, `"status":410,"error":null`}, {302, `"status":302,"error":"redirect"`}} {
		status = failing.status
		time.Sleep(testPace)
		got := e.do("alice", "POST", path+"/test", "")
		if got.is(t, http.StatusOK, ""); got.body["delivered"] != false || !strings.Contains(got.text, failing.answer) {
			t.Errorf("answer %s", got.text)
		}
		if got := e.do("alice", "GET", path, ""); got.body["status"] != "disabled" {
			t.Errorf("status %v", got.body["status"])
		}
	}
	status = http.StatusNoContent
	time.Sleep(testPace)
	e.do("alice", "POST", path+"/test", "").is(t, http.StatusOK, "")
	row := e.ask("SELECT status || coalesce(failing_since, -1) || '-' || warned FROM connector_subscriptions WHERE id = $1", sub)
	if row != "active-1-0" {
		t.Errorf("subscription %s", row)
	}
	eventually(t, "what waited", func() bool { return len(hook.seen()) == 5 })

	// what is sealed is sent to no target but its own
	e.write("UPDATE connector_subscriptions SET target_url = $1 WHERE id = $2", hook.URL+"/evil", sub)
	time.Sleep(testPace)
	e.do("alice", "POST", path+"/test", "").is(t, http.StatusInternalServerError, "internal")
	e.write("UPDATE connector_subscriptions SET target_url = $1 WHERE id = $2", hook.URL, sub)
	if n := len(hook.seen()); n != 5 {
		t.Errorf("%d arrived", n)
	}
	hook.Close()
	time.Sleep(testPace)
	got := e.do("alice", "POST", path+"/test", "")
	if got.is(t, http.StatusOK, ""); got.body["delivered"] != false || got.body["status"] != nil || got.body["error"] != "connection_refused" {
		t.Errorf("answer %s", got.text)
	}
	e.write("UPDATE connector_subscriptions SET status = 'ended' WHERE id = $1", sub)
	e.do("alice", "POST", path+"/test", "").is(t, http.StatusConflict, "subscription_ended")
}
