package subscriptions

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// receiver is a subscriber's webhook. It records what arrives.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
	answer   func(n int, w http.ResponseWriter, r *http.Request) // n counts from 1; nil for 200
}

type received struct {
	id     string // of the event
	header http.Header
	body   []byte
	at     time.Time
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.requests = append(r.requests, received{request.Header.Get("webhook-id"), request.Header, body, time.Now()})
		n := len(r.requests)
		r.mu.Unlock()
		if r.answer != nil {
			r.answer(n, w, request)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) seen() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.requests...)
}

// ids are the events that arrived, in order.
func (r *receiver) ids() (ids []string) {
	for _, request := range r.seen() {
		ids = append(ids, request.id)
	}
	return ids
}

// eachDatabase runs a test on both databases. The options have a config use the
// database.
func eachDatabase(t *testing.T, test func(t *testing.T, e *edge, options string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t, site), "") })
	t.Run("postgres", func(t *testing.T) {
		t.Setenv("DELIVER_DSN", pgtest.Start(t))
		t.Setenv("DELIVER_KEYS", datastore.NewKey())
		e := start(t, `respond "nothing yet"`)
		const options = "database postgres {env.DELIVER_DSN}\n\t\tencryption_keys {env.DELIVER_KEYS}"
		e.load(options, site)
		test(t, e, options)
	})
}

// publish publishes an event of a project and returns its id.
func (e *edge) publish(resource, eventType, data string) string {
	e.t.Helper()
	got := e.do("app", "POST", "/events", fmt.Sprintf(`{"type":%q,"resource_id":%q,"data":%s}`, eventType, resource, data))
	got.is(e.t, 202, "")
	return got.id()
}

// The seed's flow: subscribe to a project, publish, see the signed push arrive,
// change the events, delete, and see nothing more arrive.
func TestDeliver(t *testing.T) { eachDatabase(t, deliver) }

func deliver(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "proj1", "target_url", hook.URL+"/in?x=1", "events", []string{"task.create", "task.update"})
	sub.is(t, 201, "")
	verifier, err := standardwebhooks.NewWebhook(sub.body["secret"].(string))
	if err != nil {
		t.Fatal(err)
	}
	const data = `{ "n": 9007199254740993,  "s":"<&>🎉"}`
	id := e.publish("proj1", "task.create", data)
	e.publish("proj1", "project.archive", data)
	e.publish("proj2", "task.create", data)
	eventually(t, "the push", func() bool { return len(hook.seen()) == 1 })

	push := hook.seen()[0]
	if err := verifier.Verify(push.body, push.header); err != nil {
		t.Errorf("the reference library: %v", err)
	}
	if push.id != id || push.header.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", push.header)
	}
	var body struct {
		ID, Type, Timestamp string
		ResourceID          string `json:"resource_id"`
		Data                json.RawMessage
	}
	if err := json.Unmarshal(push.body, &body); err != nil || !strings.HasSuffix(string(push.body), `"data":`+data+"}") {
		t.Fatalf("%v: %s", err, push.body)
	}
	if body.ID != id || body.Type != "task.create" || body.ResourceID != "proj1" {
		t.Errorf("body %s", push.body)
	}
	if at, err := time.Parse(time.RFC3339Nano, body.Timestamp); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("timestamp %q: %v", body.Timestamp, err)
	}

	path := "/subscriptions/" + sub.id()
	e.do("alice", "PUT", path, `{"events":["task.delete"]}`).is(t, 200, "")
	e.publish("proj1", "task.create", data)
	last := e.publish("proj1", "task.delete", data)
	eventually(t, "the changed event", func() bool { return len(hook.seen()) == 2 })
	if ids := hook.ids(); ids[1] != last {
		t.Errorf("arrived: %v", ids)
	}
	e.do("alice", "DELETE", path, "").is(t, 204, "")
	e.publish("proj1", "task.delete", data)
	e.stays(hook, 2)
}

// stays checks that nothing more arrives, by what is published to another
// subscription afterwards.
func (e *edge) stays(hook *receiver, n int) {
	e.t.Helper()
	control := newReceiver(e.t, nil)
	sub := e.subscribe("control", "control", "target_url", control.URL)
	sub.is(e.t, 201, "")
	e.publish("control", "task.create", "{}")
	eventually(e.t, "the control", func() bool { return len(control.seen()) == 1 })
	if got := hook.ids(); len(got) != n {
		e.t.Errorf("%d arrived, want %d: %v", len(got), n, got)
	}
	e.do("control", "DELETE", "/subscriptions/"+sub.id(), "").is(e.t, 204, "")
}

// Many events to many subscriptions: each arrives once, those of an ordered
// subscription in the order of publishing.
func TestDeliverMany(t *testing.T) { eachDatabase(t, deliverMany) }

func deliverMany(t *testing.T, e *edge, _ string) {
	const events, fanOut = 300, 4
	hooks := make([]*receiver, fanOut)
	for i := range hooks {
		hooks[i] = newReceiver(t, func(_ int, _ http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Duration(i) * time.Millisecond)
		})
		e.subscribe("alice", "proj1", "target_url", hooks[i].URL, "ordered", i%2 == 0).is(t, 201, "")
	}
	var published []string
	for range events {
		published = append(published, e.publish("proj1", "task.create", `{"a":1}`))
	}
	for i, hook := range hooks {
		eventually(t, "all events", func() bool { return len(hook.seen()) >= events })
		count := make(map[string]int)
		for n, id := range hook.ids() {
			if count[id]++; i%2 == 0 && id != published[n] {
				t.Fatalf("receiver %d: event %d is %s, want %s", i, n, id, published[n])
			}
		}
		for _, id := range published {
			if count[id] != 1 {
				t.Errorf("receiver %d got %s %d times", i, id, count[id])
			}
		}
	}
}

// A failing delivery is tried again, with the same id and a new time; an ordered
// subscription waits for it.
func TestDeliverRetries(t *testing.T) { eachDatabase(t, deliverRetries) }

func deliverRetries(t *testing.T, e *edge, _ string) {
	for _, ordered := range []bool{false, true} {
		hook := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.WriteHeader(500)
			}
		})
		sub := e.subscribe("alice", "proj1", "target_url", hook.URL, "ordered", ordered)
		first := e.publish("proj1", "task.create", "{}")
		eventually(t, "the first attempt", func() bool { return len(hook.seen()) == 1 })
		second := e.publish("proj1", "task.create", "{}")
		eventually(t, "both", func() bool { return len(hook.seen()) == 3 })
		want := fmt.Sprint([]string{first, second, first})
		if ordered {
			want = fmt.Sprint([]string{first, first, second})
		}
		if got := fmt.Sprint(hook.ids()); got != want {
			t.Errorf("ordered %v: %s, want %s", ordered, got, want)
		}
		e.do("alice", "DELETE", "/subscriptions/"+sub.id(), "").is(t, 204, "")
	}
}

// 410 ends the subscription, also what waits.
func TestDeliverGone(t *testing.T) { eachDatabase(t, deliverGone) }

func deliverGone(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	sub := e.subscribe("alice", "proj1", "target_url", hook.URL, "ordered", true)
	for range 5 {
		e.publish("proj1", "task.create", "{}")
	}
	eventually(t, "the end of the subscription", func() bool {
		return e.do("alice", "GET", "/subscriptions/"+sub.id(), "").body["status"] == "ended"
	})
	n := len(hook.seen())
	e.publish("proj1", "task.create", "{}")
	e.stays(hook, n)
}

// Paused: nothing is sent, and all of it after resuming.
func TestDeliverPaused(t *testing.T) { eachDatabase(t, deliverPaused) }

func deliverPaused(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	path := "/subscriptions/" + e.subscribe("alice", "proj1", "target_url", hook.URL).id()
	e.do("alice", "POST", path+"/pause", "").is(t, 200, "")
	for range 3 {
		e.publish("proj1", "task.create", "{}")
	}
	e.stays(hook, 0)
	e.do("alice", "POST", path+"/resume", "").is(t, 200, "")
	eventually(t, "what was published meanwhile", func() bool { return len(hook.seen()) == 3 })
}

// Retry-After pauses the whole endpoint.
func TestDeliverRetryAfter(t *testing.T) { eachDatabase(t, deliverRetryAfter) }

func deliverRetryAfter(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	e.subscribe("alice", "proj1", "target_url", hook.URL).is(t, 201, "")
	e.publish("proj1", "task.create", "{}")
	eventually(t, "the first attempt", func() bool { return len(hook.seen()) == 1 })
	for range 3 {
		e.publish("proj1", "task.create", "{}")
	}
	eventually(t, "all", func() bool { return len(hook.seen()) == 5 })
	requests := hook.seen()
	if wait := requests[1].at.Sub(requests[0].at); wait < 1900*time.Millisecond {
		t.Errorf("it was left alone for %v", wait)
	}
}

// Reloads under load lose nothing and send nothing twice.
func TestDeliverOverReloads(t *testing.T) { eachDatabase(t, deliverOverReloads) }

func deliverOverReloads(t *testing.T, e *edge, options string) {
	hook := newReceiver(t, func(_ int, _ http.ResponseWriter, _ *http.Request) { time.Sleep(time.Millisecond) })
	e.subscribe("alice", "proj1", "target_url", hook.URL).is(t, 201, "")
	var published []string
	for i := range 100 {
		// a reload may break a connection before its request: then it is repeated
		id := fmt.Sprint("evt_", i)
		published = append(published, id)
		eventually(t, "an answer", func() bool {
			body := fmt.Sprintf(`{"id":%q,"type":"task.create","resource_id":"proj1","data":{}}`, id)
			status, _ := e.try("POST", "/events", body)
			return status == 202
		})
		if i%20 == 19 {
			e.reload(options, strings.Replace(site, "max_data 64", fmt.Sprintf("max_data %d", 100+i), 1))
		}
	}
	eventually(t, "all", func() bool { return len(hook.seen()) >= len(published) })
	count := make(map[string]int)
	for _, id := range hook.ids() {
		count[id]++
	}
	for _, id := range published {
		if count[id] != 1 {
			t.Errorf("%s arrived %d times", id, count[id])
		}
	}
}
