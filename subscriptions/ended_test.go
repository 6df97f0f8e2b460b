package subscriptions

import (
	"testing"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// What is published while a subscription ends does not wait for it for ever.
func TestPublishedWhileItEnds(t *testing.T) { eachDatabase(t, publishedWhileItEnds) }

func publishedWhileItEnds(t *testing.T, e *edge, _ string) {
	ended, paused := e.subscribe("alice", "p1").id(), e.subscribe("bob", "p1").id()
	e.do("bob", "POST", "/subscriptions/"+paused+"/pause", "").is(t, 200, "")
	e.write("UPDATE connector_subscriptions SET status = 'ended' WHERE id = $1", ended)

	// it had not ended when the event's subscriptions were found
	for id, to := range map[string][]delivery.Recipient{"one": {{Subscription: ended}}, "two": {{Subscription: ended}, {Subscription: paused}}} {
		p := &publication{event: Event{ID: id, Type: "task.create", ResourceID: "p1", Data: []byte("{}")}, matching: to}
		if err := e.idleStore().commit(t.Context(), []*publication{p}); err != nil || p.result.Deliveries != len(to)-1 {
			t.Errorf("for %s: %+v, %v", id, p.result, err)
		}
	}
	if got := e.ask("SELECT count(*) FROM connector_deliveries WHERE subscription_id = $1", ended); got != "0" {
		t.Errorf("%s deliveries", got)
	}

	// the transactions did not see each other
	for _, id := range []string{ended, paused} {
		e.write("INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due) VALUES ('two', $1, 0, 0, 0, 0)", id)
		engines.Range(func(_, shared any) bool {
			eventually(t, "the engine", shared.(*sharedEngine).Running)
			shared.(*sharedEngine).Look(id)
			return true
		})
	}
	eventually(t, "it to be cancelled", func() bool {
		return e.ask("SELECT state FROM connector_deliveries WHERE subscription_id = $1", ended) == "3"
	})
	if got := e.ask("SELECT count(*) FROM connector_deliveries WHERE subscription_id = $1 AND state = 0", paused); got != "2" {
		t.Errorf("%s wait for the one that is paused", got)
	}
}
