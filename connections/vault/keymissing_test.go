package vault

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// What a node has sealed with a key that another one lacks is not ready there, and
// nothing is wrong with it: no token is asked for, no status changes, and with the key
// it is as it was.
func TestKeyMissing(t *testing.T) {
	d := onServer(t)
	older := d.keys
	behind := d.node()
	moved, same := behind.create("alice", "moved", "key-1").ID, behind.create("alice", "same", "key-2").ID
	behind.find(same)
	d.keys = datastore.NewKey() + " " + older
	ahead := d.node()
	is(ahead, "a lease", ahead.lease(moved, 1, "a", time.Minute), nil)
	is(ahead, "a new token", ahead.save(moved, 1, "a", "key-3"), nil)
	flow := flowOf("alice", "state")
	ahead.begin(flow)

	eventually(t, "that it cannot be opened", func() bool { _, err := behind.Find(t.Context(), moved); return errors.Is(err, ErrKeyMissing) })
	for what, attempt := range map[string]func() error{
		"found":  func() error { _, err := behind.Find(t.Context(), moved); return err },
		"loaded": func() error { _, err := behind.Load(t.Context(), moved); return err },
		"saved":  func() error { return behind.save(moved, 2, AnyHolder, "key-4") },
		"variables": func() error {
			_, err := behind.Update(t.Context(), "alice", moved, 0, Change{Variables: &map[string]string{}})
			return err
		},
		"a flow": func() error { _, err := behind.TakeFlow(t.Context(), flow.StateHash); return err },
	} {
		err := attempt()
		is(behind, what, err, ErrKeyMissing)
		is(behind, what, err, datastore.ErrNotReady)
	}
	// until the changes before have been told of
	eventually(t, "ten requests that share one read", func() bool {
		return reads(func() {
			for range 10 {
				_, _ = behind.Find(t.Context(), moved)
			}
		}) <= 1
	})
	if logged := behind.logged(); !strings.Contains(logged, moved) || !strings.Contains(logged, "not in encryption_keys: key ") {
		t.Errorf("logged %s", logged)
	}
	if c := behind.find(same); string(c.Secret(0)) != "key-2" {
		t.Errorf("the other one: %q", c.Secret(0))
	}
	c, err := behind.Get(t.Context(), "alice", moved)
	if err != nil || c.Status != Active || c.SecretVersion(0) != 2 {
		t.Errorf("%v, %v", c, err)
	}

	behind.end()
	behind = d.node() // with both keys
	if c := behind.find(moved); string(c.Secret(0)) != "key-3" {
		t.Errorf("with the key: %q", c.Secret(0))
	}
	if got, err := behind.TakeFlow(t.Context(), flow.StateHash); err != nil || got.Verifier.Reveal() != "verifier of state" {
		t.Errorf("the flow: %v", err)
	}
}

// What a node seals that was left out when the keys were rotated is known to be
// sealed with the old key.
func TestNodeLeftOut(t *testing.T) {
	d := onServer(t)
	older := d.keys
	behind := d.node()
	d.keys = datastore.NewKey() + " " + older
	ahead := d.node()
	known := func() (n int) {
		t.Helper()
		if err := ahead.db.QueryRow(t.Context(), "SELECT count(*) FROM connector_keys").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for what, write := range map[string]func(){
		"a credential": func() { behind.create("alice", "mine", "key") },
		"a flow":       func() { behind.begin(flowOf("alice", "state")) },
	} {
		rotate(d)
		if n := known(); n != 1 {
			t.Errorf("rotated: %d keys", n)
		}
		if write(); known() != 2 {
			t.Errorf("%s: %d keys", what, known())
		}
	}
}
