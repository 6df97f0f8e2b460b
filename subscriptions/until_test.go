package subscriptions

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// What is known of a target holds until the subscription ends, or one of its
// secrets does.
func TestTargetUntil(t *testing.T) { eachDatabase(t, targetUntil) }

func targetUntil(t *testing.T, e *edge, _ string) {
	id := e.subscribe("alice", "p1").id()
	store := &Store{db: e.db()}
	until := func() time.Time {
		t.Helper()
		target, err := store.target(t.Context(), id, anyStatus)
		if err != nil {
			t.Fatal(err)
		}
		return target.Until
	}
	change := func(body string) {
		t.Helper()
		e.do("alice", "PATCH", "/subscriptions/"+id, body).is(t, http.StatusOK, "")
	}
	if at := until(); !at.IsZero() {
		t.Errorf("without an end: %v", at)
	}
	later := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	change(members("expires_at", later.Format(time.RFC3339)))
	if at := until(); !at.Equal(later) {
		t.Errorf("until %v, want the end %v", at, later)
	}
	e.do("alice", "POST", "/subscriptions/"+id+"/secret", "").is(t, http.StatusOK, "")
	first := until()
	if in := time.Until(first); in < rotationTime-time.Minute || in > rotationTime+time.Minute {
		t.Errorf("until %v, want the end of the old secret", first)
	}
	e.do("alice", "POST", "/subscriptions/"+id+"/secret", "").is(t, http.StatusOK, "")
	if at := until(); !at.Equal(first) {
		t.Errorf("until %v, want that of the oldest secret, %v", at, first)
	}
	sooner := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	change(members("expires_at", sooner.Format(time.RFC3339)))
	if at := until(); !at.Equal(sooner) {
		t.Errorf("until %v, want the end %v", at, sooner)
	}
}

// A subscription that has expired is sent nothing more: not what waits behind
// requests that are under way, and not what failed before.
func TestExpiredIsSentNothing(t *testing.T) {
	e := start(t, site)
	expiry := time.Now().Add(3 * time.Second).UTC().Truncate(time.Millisecond)
	held, open := gate(t)
	e.subscribe("alice", "p1", "target_url", held.URL, "expires_at", expiry.Format(time.RFC3339Nano))
	fails := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	e.subscribe("alice", "p2", "target_url", fails.URL, "expires_at", expiry.Format(time.RFC3339Nano))
	e.publish("p2", "task.create", "{}")
	for range 12 {
		e.publish("p1", "task.create", "{}")
	}
	eventually(t, "what may be under way", func() bool { return len(held.seen()) == 8 && len(fails.seen()) == 1 })
	if time.Now().After(expiry) {
		t.Skip("this machine was too slow")
	}
	time.Sleep(time.Until(expiry.Add(100 * time.Millisecond)))
	open()
	eventually(t, "the results", func() bool { return e.ask("SELECT count(*) >= 9 FROM connector_attempts") == "1" })
	due, err := strconv.ParseInt(e.ask(`SELECT d.due FROM connector_deliveries AS d
		JOIN connector_attempts AS a ON a.delivery_id = d.id WHERE a.error = 'status'`), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(time.UnixMicro(due).Add(500 * time.Millisecond)))
	e.stays(held, 8)
	e.stays(fails, 1)
}
