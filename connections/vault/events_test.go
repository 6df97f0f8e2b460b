package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// told are the events of committed transactions, by the connection.
var told struct {
	sync.Mutex
	events map[string][]string
}

func init() {
	told.events = make(map[string][]string)
	datastore.RegisterSink(func(_ context.Context, _ *datastore.DB, _ *datastore.Tx, e datastore.Event) (func(bool), error) {
		return func(committed bool) {
			told.Lock()
			defer told.Unlock()
			if committed {
				told.events[e.ResourceID] = append(told.events[e.ResourceID], fmt.Sprintf("%s %s %s %s", e.Type, e.ResourceType, e.Owner, e.Data))
			}
		}, nil
	})
}

func toldOf(id string) []string {
	told.Lock()
	defer told.Unlock()
	return slices.Clone(told.events[id])
}

// Owners are told what becomes of their connections, once, and nothing that was
// not committed.
func TestEvents(t *testing.T) {
	eachDatabase(t, func(d *database) {
		n := d.node()
		c := n.create("alice", "main", "s3cret")
		var want []string
		check := func(what, event, status, reason string) {
			t.Helper()
			if event != "" {
				data := `{"connection_id":"` + c.ID + `","connector_id":"zendesk","name":"main","status":"` + status + `"`
				if reason != "" {
					data += `,"reason":"` + reason + `"`
				}
				want = append(want, event+" connection alice "+data+"}")
			}
			if got := toldOf(c.ID); !slices.Equal(got, want) {
				t.Fatalf("%s: told %q, want %q", what, got, want)
			}
		}
		reauth := func() {
			t.Helper()
			version := n.find(c.ID).SecretVersion(0)
			_, err := n.Lease(n.Context(), c.ID, 0, version, "node", time.Minute)
			is(n, "the lease", err, nil)
			_, err = n.MarkReauth(n.Context(), c.ID, 0, version, "node", "invalid_grant")
			is(n, "the mark", err, nil)
		}
		set := func() {
			t.Helper()
			_, err := n.SetSecrets(n.Context(), "alice", c.ID, 0, 0, []byte("new"), Active)
			is(n, "the credential", err, nil)
		}
		check("made", createdEvent, "active", "")
		set()
		check("another credential", "", "", "")
		reauth()
		check("refused", reauthEvent, "reauth_required", "invalid_grant")
		reauth()
		check("refused again", "", "", "")
		_, err := n.Update(n.Context(), "alice", c.ID, 0, Change{Variables: &map[string]string{}})
		is(n, "the variables", err, nil)
		check("other variables", "", "", "")
		set()
		check("connected again", recoveredEvent, "active", "")
		is(n, "somebody else's deletion", n.Delete(n.Context(), "bob", c.ID), ErrUnknown)
		broken := errors.New("broken")
		is(n, "what fails", n.db.Write(n.Context(), func(ctx context.Context, tx *datastore.Tx) error {
			is(n, "the event", announce(ctx, tx, deletedEvent, c), nil)
			return broken
		}), broken)
		check("not committed", "", "", "")
		is(n, "the deletion", n.Delete(n.Context(), "alice", c.ID), nil)
		check("deleted", deletedEvent, "active", "")
	})
}
