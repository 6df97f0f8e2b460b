package subscriptions

import (
	"context"
	"fmt"
	"testing"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// Of events that are published together, none that memory has room for overtakes
// one that it had none for.
func TestNothingOvertakesInABatch(t *testing.T) { eachDatabase(t, nothingOvertakesInABatch) }

func nothingOvertakesInABatch(t *testing.T, e *edge, _ string) {
	for ordered, want := range map[bool]string{true: "[true false false]", false: "[true false true]"} {
		id := e.subscribe("alice", "p1", "ordered", ordered, "target_url", fmt.Sprint(target, ordered)).id()
		to := []delivery.Recipient{{Subscription: id, Ordered: ordered}}
		var batch []*publication
		for i, reserved := range []bool{true, false, true} {
			batch = append(batch, &publication{
				event: Event{ID: fmt.Sprint("evt_", ordered, i)}, matching: to, message: new(delivery.Message),
				reserved: []bool{reserved}, deliveries: make([]*delivery.Delivery, 1),
			})
		}
		err := e.db().Write(t.Context(), func(ctx context.Context, tx *datastore.Tx) error {
			return insertDeliveries[tx.Dialect()](ctx, tx, batch, "me", 1)
		})
		if err != nil {
			t.Fatal(err)
		}
		var leased []bool
		for _, p := range batch {
			leased = append(leased, p.deliveries[0] != nil)
		}
		if got := fmt.Sprint(leased); got != want {
			t.Errorf("ordered %v: leased %s, want %s", ordered, got, want)
		}
	}
}
