package subscriptions

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// What waits for a subscription that is gone is cancelled, however much it is,
// by transactions that others need not wait for.
func TestCancelMany(t *testing.T) { eachDatabase(t, cancelMany) }

func cancelMany(t *testing.T, e *edge, options string) {
	const many = 2*cancelBatch + 500
	gone := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	deleted, ended := e.subscribe("alice", "p1").id(), e.subscribe("alice", "p2", "target_url", gone.URL).id()
	other := e.subscribe("bob", "p1").id()
	wait := func(subscription string) {
		t.Helper()
		e.write(`INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due)
			WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
			SELECT 'evt_' || n, $2, 0, 0, 0, 9000000000000000 FROM numbers`, many, subscription)
	}
	states := func(subscription string) string {
		t.Helper()
		return e.ask("SELECT sum(CASE state WHEN 0 THEN 1 ELSE 0 END) || ' ' || sum(CASE state WHEN 3 THEN 1 ELSE 0 END) FROM connector_deliveries WHERE subscription_id = $1", subscription)
	}
	for _, subscription := range []string{deleted, ended, other} {
		wait(subscription)
	}
	e.do("alice", "DELETE", "/subscriptions/"+deleted, "").is(t, 204, "")
	eventuallyWithin(t, 2*time.Minute, "those of what was deleted", func() bool { return states(deleted) == "0 2500" })

	e.publish("p2", "task.create", "{}")
	eventuallyWithin(t, 2*time.Minute, "those of what has ended", func() bool { return states(ended) == "0 2501" })

	// what was not done when the engine stopped is done when it starts
	wait(deleted)
	e.load(options, `respond "nothing"`)
	eventuallyWithin(t, 2*time.Minute, "the end of the engine", func() bool {
		running := false
		engines.Range(func(_, _ any) bool { running = true; return false })
		return !running
	})
	e.load(options, site)
	eventuallyWithin(t, 2*time.Minute, "those of what was gone before", func() bool {
		return e.db().Ready() == nil && states(deleted) == "0 5000"
	})
	if got := states(other); got != "2500 0" {
		t.Errorf("another subscription's: %s", got)
	}
	err := e.db().Write(context.Background(), func(ctx context.Context, tx *datastore.Tx) error {
		_, err := cancelDeliveries(ctx, tx, other)
		return err
	})
	if got := states(other); got != "1500 1000" || err != nil {
		t.Errorf("one transaction: %s, %v", got, err)
	}
}
