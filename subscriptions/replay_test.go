package subscriptions

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// verifier checks signatures with a new subscription's secret.
func verifier(t *testing.T, created reply) func(body []byte, header http.Header) error {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(created.body["secret"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return verifier.Verify
}

// replayed waits until a replay has ended.
func (e *edge) replayed(path string) (got reply) {
	e.t.Helper()
	eventually(e.t, "the end of the replay", func() bool {
		got = e.do("alice", "GET", path, "")
		return got.body["status"] != "running"
	})
	return got
}

const longAgo = `{"since":"2020-01-01T00:00:00Z"`

func TestReplay(t *testing.T) { eachDatabase(t, replayStates) }

func replayStates(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub
	var events []string
	for range 6 {
		events = append(events, e.publish("p1", "task.create", "{}"))
	}
	e.settled(path, 6)
	for i, change := range []string{"state = 2", "state = 2, tries = 9", "state = 3", "state = 0, due = 9000000000000000"} {
		e.write("UPDATE connector_deliveries SET "+change+" WHERE event_id = $1", events[i])
	}
	got := e.do("alice", "POST", path+"/replays", longAgo+"}")
	got.is(t, http.StatusAccepted, "")
	if got.Header.Get("Location") != path+"/replays/"+got.id() || got.body["total"] != 2.0 || fmt.Sprint(got.body["states"]) != "[dead]" ||
		got.body["subscription_id"] != sub || got.body["since"] != "2020-01-01T00:00:00Z" || len(got.body) != 10 {
		t.Errorf("answer %v %s", got.Header, got.text)
	}
	if done := e.replayed(got.Header.Get("Location")); done.body["status"] != "done" || done.body["replayed"] != 2.0 || done.body["total"] != 2.0 {
		t.Errorf("replay %s", done.text)
	}
	eventually(t, "the dead ones", func() bool { return len(hook.seen()) == 8 })
	counts := arrivals(hook)
	for i, want := range []int{2, 2, 1, 1, 1, 1} {
		if counts[events[i]] != want {
			t.Errorf("event %d arrived %d times, want %d", i, counts[events[i]], want)
		}
	}
	e.settled(path, 5)

	got = e.do("alice", "POST", path+"/replays", longAgo+`,"states":["delivered","pending","cancelled"]}`)
	if got.is(t, http.StatusAccepted, ""); got.body["total"] != 6.0 {
		t.Errorf("answer %s", got.text)
	}
	if done := e.replayed(got.Header.Get("Location")); done.body["replayed"] != 6.0 {
		t.Errorf("replay %s", done.text)
	}
	eventually(t, "all", func() bool { return len(hook.seen()) == 14 })

	list := e.do("alice", "GET", path+"/replays?limit=1", "")
	if data := list.body["data"].([]any); len(data) != 1 || data[0].(map[string]any)["id"] != got.id() || list.body["next_cursor"] != got.id() {
		t.Errorf("list %s", list.text)
	}
	list = e.do("alice", "GET", path+"/replays?limit=1&cursor="+got.id(), "")
	if data := list.body["data"].([]any); len(data) != 1 || data[0].(map[string]any)["total"] != 2.0 || list.body["next_cursor"] != nil {
		t.Errorf("list %s", list.text)
	}
	e.do("alice", "DELETE", path+"/replays/"+got.id(), "").is(t, http.StatusNoContent, "")
	if got := e.replayed(path + "/replays/" + got.id()); got.body["status"] != "done" {
		t.Errorf("cancelled when it was done: %s", got.text)
	}
}

func arrivals(hook *receiver) map[string]int {
	counts := make(map[string]int)
	for _, id := range hook.ids() {
		counts[id]++
	}
	return counts
}

// Only what was published in the time is sent again, and what is still kept.
func TestReplayTimes(t *testing.T) { eachDatabase(t, replayTimes) }

func replayTimes(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	e.bulk(sub, 1000, 2)
	last := e.ask("SELECT created_at FROM connector_events WHERE id = 'evt_bulk_1000'")
	at := func(n int) string { // the time of an event
		var micros int64
		_ = json.Unmarshal([]byte(last), &micros)
		return time.UnixMicro(micros).Add(time.Duration(n-1000) * time.Second).UTC().Format(time.RFC3339Nano)
	}
	e.write("DELETE FROM connector_events WHERE id = 'evt_bulk_303'")
	// their transactions overlapped
	e.write("UPDATE connector_events SET created_at = created_at + 15000000 WHERE id = 'evt_bulk_290'")
	e.write("UPDATE connector_events SET created_at = created_at - 15000000 WHERE id = 'evt_bulk_320'")
	between := "since=" + at(301) + "&until=" + at(310)
	if found, _ := e.deliveries("/subscriptions/"+sub, between+"&limit=5"); len(found) != 12 { // also the one whose event is gone
		t.Errorf("%d deliveries are listed", len(found))
	}
	got := e.do("alice", "POST", "/subscriptions/"+sub+"/replays", members("since", at(301), "until", at(310)))
	if got.is(t, http.StatusAccepted, ""); got.body["total"] != 10.0 {
		t.Errorf("answer %s", got.text)
	}
	if done := e.replayed(got.Header.Get("Location")); done.body["replayed"] != 11.0 {
		t.Errorf("replay %s", done.text)
	}
	eventually(t, "the replay", func() bool { return len(hook.seen()) == 11 })
	counts := arrivals(hook)
	for _, n := range []int{290, 301, 302, 304, 305, 306, 307, 308, 309, 310, 320} {
		if counts[fmt.Sprint("evt_bulk_", n)] != 1 {
			t.Errorf("arrived: %v", counts)
		}
	}
	e.stays(hook, 11)
}

func TestReplayRefuses(t *testing.T) {
	e := start(t, site)
	path := "/subscriptions/" + e.subscribe("alice", "p1").id() + "/replays"
	for body, code := range map[string]string{
		`{}`: "since_invalid", `{"since":1}`: "since_invalid", `{"since":"yesterday"}`: "since_invalid", `{"since":"2999-01-01T00:00:00Z"}`: "since_invalid",
		longAgo + `,"until":"x"}`: "until_invalid", longAgo + `,"until":1}`: "until_invalid", longAgo + `,"until":"2019-01-01T00:00:00Z"}`: "until_invalid",
		longAgo + `,"states":[]}`: "states_invalid", longAgo + `,"states":["x"]}`: "states_invalid", longAgo + `,"states":"dead"}`: "states_invalid",
	} {
		e.do("alice", "POST", path, body).is(t, http.StatusUnprocessableEntity, code)
	}
	e.do("alice", "POST", path, "").is(t, http.StatusUnsupportedMediaType, "media_type_unsupported")
	e.do("alice", "GET", path+"?cursor=x", "").is(t, http.StatusBadRequest, "cursor_invalid")
	e.do("alice", "GET", path+"?limit=0", "").is(t, http.StatusBadRequest, "limit_invalid")
	if list := e.do("alice", "GET", path, ""); list.text != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("list %s", list.text)
	}
}

// Replays of a paused subscription wait; an owner has so many; deleting the
// subscription ends them.
func TestReplayWaits(t *testing.T) { eachDatabase(t, replayWaits) }

func replayWaits(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, func(_ int, _ http.ResponseWriter, _ *http.Request) { time.Sleep(100 * time.Millisecond) })
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub
	e.bulk(sub, 1600, 2)
	var made []string
	for range maxReplays {
		got := e.do("alice", "POST", path+"/replays", longAgo+"}")
		got.is(t, http.StatusAccepted, "")
		made = append(made, got.id())
	}
	e.do("alice", "POST", path+"/pause", "").is(t, http.StatusOK, "")
	e.do("alice", "POST", path+"/replays", longAgo+"}").is(t, http.StatusConflict, "subscription_paused")
	other := e.subscribe("alice", "p2", "target_url", hook.URL).id()
	e.do("alice", "POST", "/subscriptions/"+other+"/replays", longAgo+"}").is(t, http.StatusConflict, "replay_limit")
	others := e.subscribe("bob", "p2", "target_url", hook.URL).id()
	e.do("bob", "POST", "/subscriptions/"+others+"/replays", longAgo+"}").is(t, http.StatusAccepted, "")

	// they cost nothing, and take no other's place
	engines.Range(func(_, shared any) bool {
		running, err := shared.(*sharedEngine).replayer.running(context.Background())
		if err != nil || len(running) > 1 || len(running) == 1 && running[0].subscription != others {
			t.Errorf("%d are worked on, %v", len(running), err)
		}
		return true
	})
	if got := e.do("alice", "GET", path+"/replays/"+made[0], ""); got.body["status"] != "running" || got.body["replayed"].(float64) > 1500 {
		t.Errorf("replay %s", got.text)
	}
	e.do("alice", "DELETE", path+"/replays/"+made[1], "").is(t, http.StatusNoContent, "")
	if got := e.do("alice", "GET", path+"/replays/"+made[1], ""); got.body["status"] != "cancelled" {
		t.Errorf("replay %s", got.text)
	}
	got := e.do("alice", "POST", "/subscriptions/"+other+"/replays", longAgo+"}")
	got.is(t, http.StatusAccepted, "")
	if done := e.replayed(got.Header.Get("Location")); done.body["status"] != "done" || done.body["total"] != 0.0 {
		t.Errorf("nothing to do: %s", done.text)
	}
	e.do("alice", "DELETE", path, "").is(t, http.StatusNoContent, "")
	eventually(t, "the end of its replays", func() bool {
		return e.ask("SELECT count(*) FROM connector_replays WHERE subscription_id = $1 AND status = 'cancelled'", sub) == fmt.Sprint(maxReplays)
	})
	if pending := e.ask("SELECT count(*) FROM connector_deliveries WHERE subscription_id = $1 AND state = 0", sub); pending != "0" {
		t.Errorf("%s are still pending", pending)
	}
}

// One that waits goes on when its subscription is resumed.
func TestReplayIsResumed(t *testing.T) { eachDatabase(t, replayIsResumed) }

func replayIsResumed(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub
	e.bulk(sub, 10, 3)
	e.do("alice", "POST", path+"/pause", "").is(t, http.StatusOK, "")
	id := newReplayID()
	e.write(`INSERT INTO connector_replays (id, subscription_id, since, until, states, status, position, replayed, total, created_at, updated_at)
		VALUES ($1, $2, 0, 9000000000000000, '["cancelled"]', 'running', 0, 0, 10, 0, 0)`, id, sub)
	e.do("alice", "PATCH", path, `{"ordered":true}`).is(t, http.StatusOK, "") // it is looked at
	e.stays(hook, 0)
	e.do("alice", "POST", path+"/resume", "").is(t, http.StatusOK, "")
	if got := e.replayed(path + "/replays/" + id); got.body["status"] != "done" || got.body["replayed"] != 10.0 {
		t.Errorf("replay %s", got.text)
	}
}

// A replay is carried on over reloads, and after a restart.
func TestReplayGoesOn(t *testing.T) { eachDatabase(t, replayGoesOn) }

func replayGoesOn(t *testing.T, e *edge, options string) {
	const n = 2300
	var delay atomic.Int64
	delay.Store(int64(100 * time.Millisecond))
	hook := newReceiver(t, func(_ int, _ http.ResponseWriter, _ *http.Request) { time.Sleep(time.Duration(delay.Load())) })
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	e.bulk(sub, n, 2)
	path := e.do("alice", "POST", "/subscriptions/"+sub+"/replays", longAgo+"}").Header.Get("Location")
	running := func() {
		t.Helper()
		got := e.do("alice", "GET", path, "")
		if done := got.body["replayed"].(float64); got.body["status"] != "running" || done == 0 || done >= n {
			t.Fatalf("it is not in its middle: %s", got.text)
		}
	}
	eventually(t, "its begin", func() bool { return len(hook.seen()) > 0 })
	running()
	e.load(options, site)
	running()
	e.load(options, `respond "something else"`) // the engine ends
	delay.Store(0)
	e.load(options, site)
	eventuallyWithin(t, 30*time.Second, "its end", func() bool {
		status, _ := e.try("GET", "/subscriptions", "")
		return status == 200 && e.do("alice", "GET", path, "").body["status"] == "done"
	})
	got := e.do("alice", "GET", path, "")
	if got.body["replayed"] != float64(n) || got.body["total"] != float64(n) {
		t.Errorf("replay %s", got.text)
	}
	eventuallyWithin(t, 30*time.Second, "all", func() bool { return len(arrivals(hook)) == n })
	for id, times := range arrivals(hook) {
		if times != 1 || !strings.HasPrefix(id, "evt_bulk_") {
			t.Errorf("%s arrived %d times", id, times)
		}
	}
}

// What a node works on is left to it as long as that lives.
func TestReplayOfAnotherNode(t *testing.T) { eachDatabase(t, replayOfAnotherNode) }

func replayOfAnotherNode(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	path := "/subscriptions/" + sub + "/replays"
	e.bulk(sub, 10, 3)
	e.write("INSERT INTO connector_nodes (id, seen) VALUES ('other', 9000000000000000)")
	id := newReplayID()
	e.write(`INSERT INTO connector_replays (id, subscription_id, since, until, states, status, position, replayed, total, node, created_at, updated_at)
		VALUES ($1, $2, 0, 9000000000000000, '["cancelled"]', 'running', 0, 0, 10, 'other', 0, 0)`, id, sub)
	own := func() {
		t.Helper()
		got := e.do("alice", "POST", path, longAgo+"}")
		got.is(t, http.StatusAccepted, "")
		e.replayed(got.Header.Get("Location"))
	}
	own() // it has been looked for what there is
	own()
	if got := e.do("alice", "GET", path+"/"+id, ""); got.body["status"] != "running" || got.body["replayed"] != 0.0 {
		t.Errorf("replay %s", got.text)
	}
	e.write("DELETE FROM connector_nodes WHERE id = 'other'")
	own()
	if got := e.replayed(path + "/" + id); got.body["status"] != "done" || got.body["replayed"] != 10.0 {
		t.Errorf("replay %s", got.text)
	}
	eventually(t, "what it was for", func() bool { return len(hook.seen()) == 10 })
}
