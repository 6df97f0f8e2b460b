package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (n *node) lease(id string, version int64, holder string, lasts time.Duration) error {
	_, err := n.Lease(n.Context(), id, 0, version, holder, lasts)
	return err
}

func (n *node) save(id string, version int64, holder, token string) error {
	_, err := n.Save(n.Context(), id, 0, version, holder, []byte(token))
	return err
}

func TestRefresh(t *testing.T) { eachDatabase(t, refreshed) }

func refreshed(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "token-1", "key").ID
	is(n, "a lease", n.lease(id, 1, "a", time.Minute), nil)
	is(n, "the same again", n.lease(id, 1, "a", 2*time.Minute), nil)
	wait, err := n.Lease(n.Context(), id, 0, 1, "b", time.Minute)
	is(n, "somebody else's", err, ErrLeased)
	if wait <= time.Minute || wait > 2*time.Minute {
		n.Errorf("it ends in %v", wait)
	}
	is(n, "saved without a lease", n.save(id, 1, "b", "token-b"), ErrStale)
	is(n, "saved without anything", n.save(id, 1, "", "token-b"), ErrStale)
	saved, err := n.Save(n.Context(), id, 0, 1, "a", []byte("token-2"))
	if err != nil {
		n.Fatal(err)
	}
	for _, c := range []*Connection{saved, n.find(id)} {
		if string(c.Secret(0)) != "token-2" || string(c.Secret(1)) != "key" || c.SecretVersion(0) != 2 || c.SecretVersion(1) != 1 || c.Version != 2 || c.Status != Active {
			n.Errorf("saved: %v %q %q", c, c.Secret(0), c.Secret(1))
		}
	}
	is(n, "saved twice", n.save(id, 1, "a", "token-3"), ErrStale)
	is(n, "saved without another lease", n.save(id, 2, "a", "token-3"), ErrStale)
	is(n, "a lease of the old version", n.lease(id, 1, "b", time.Minute), ErrStale)
	is(n, "the next lease", n.lease(id, 2, "b", time.Minute), nil)
	is(n, "an unknown one", n.lease(newID(), 1, "b", time.Minute), ErrUnknown)
	is(n, "a malformed one", n.save("x", 1, "b", "token"), ErrUnknown)
}

// Who holds a lease may die. It ends by the database's clock, and what the late one
// has got is not stored over what another holder may get.
func TestLeaseEnds(t *testing.T) { eachDatabase(t, leaseEnds) }

func leaseEnds(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "token-1").ID
	is(n, "a lease", n.lease(id, 1, "dead", 300*time.Millisecond), nil)
	eventually(n, "the end of the lease", func() bool { return n.lease(id, 1, "next", time.Minute) == nil })
	is(n, "the dead one saves", n.save(id, 1, "dead", "token-2"), ErrStale)
	_, err := n.MarkReauth(n.Context(), id, 0, 1, "dead", "invalid_grant")
	is(n, "the dead one gives up", err, ErrStale)
	is(n, "the dead one releases", n.Release(n.Context(), id, "dead", 0), ErrStale)
	is(n, "the next one saves", n.save(id, 1, "next", "token-2"), nil)

	is(n, "a lease", n.lease(id, 2, "other", time.Minute), nil)
	is(n, "an old version, whoever has the lease", n.save(id, 1, AnyHolder, "token-3"), ErrStale)
	is(n, "saved, whoever has the lease", n.save(id, 2, AnyHolder, "token-3"), nil)
	is(n, "who had the lease saves", n.save(id, 2, "other", "token-4"), ErrStale)

	is(n, "a short lease", n.lease(id, 3, "slow", time.Microsecond), nil)
	time.Sleep(10 * time.Millisecond)
	is(n, "saved when the lease had ended", n.save(id, 3, "slow", "token-4"), nil)
}

// A refresh that is under way survives what has nothing to do with it, and not a
// new credential.
func TestRefreshAndChanges(t *testing.T) { eachDatabase(t, refreshAndChanges) }

func refreshAndChanges(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "token-1", "key").ID
	is(n, "a lease", n.lease(id, 1, "a", time.Minute), nil)
	_, err := n.Update(n.Context(), "alice", id, 0, Change{Name: pointer("new"), Variables: &map[string]string{}})
	is(n, "an update", err, nil)
	_, err = n.SetErrors(n.Context(), "alice", id, 0, []string{})
	is(n, "a test", err, nil)
	is(n, "somebody else", n.lease(id, 1, "b", time.Minute), ErrLeased)
	is(n, "saved", n.save(id, 1, "a", "token-2"), nil)
	if c := n.find(id); c.Name != "new" || c.Errors == nil || c.Version != 4 {
		n.Errorf("%v %q %v", c, c.Name, c.Errors)
	}
	is(n, "a lease", n.lease(id, 2, "a", time.Minute), nil)
	_, err = n.SetSecrets(n.Context(), "alice", id, 0, 0, []byte("token of the user"), Active)
	is(n, "a new credential", err, nil)
	is(n, "saved over it", n.save(id, 2, "a", "token-3"), ErrStale)
	is(n, "a lease of it", n.lease(id, 3, "b", time.Minute), nil)
	is(n, "deleted", n.Delete(n.Context(), "alice", id), nil)
	is(n, "saved after that", n.save(id, 3, "b", "token-4"), ErrUnknown)
}

func TestReauth(t *testing.T) { eachDatabase(t, reauth) }

func reauth(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "token-1").ID
	is(n, "a lease", n.lease(id, 1, "a", time.Minute), nil)
	_, err := n.MarkReauth(n.Context(), id, 0, 1, "b", "invalid_grant")
	is(n, "somebody else's lease", err, ErrStale)
	_, err = n.MarkReauth(n.Context(), id, 0, 1, "a", "invalid_grant")
	is(n, "its own", err, nil)
	if c := n.find(id); c.Status != ReauthRequired || c.Reason != "invalid_grant" || c.Version != 2 || c.SecretVersion(0) != 1 {
		n.Errorf("marked: %v %s", c, c.Reason)
	}
	is(n, "the lease has ended", n.lease(id, 1, "b", time.Minute), nil)
	is(n, "saved after all", n.save(id, 1, "b", "token-2"), nil)
	if c := n.find(id); c.Status != Active || c.Reason != "" {
		n.Errorf("saved: %v %s", c, c.Reason)
	}
}

// A refresh, or its failure, does not lift a status that has other reasons.
func TestRefreshKeepsStatus(t *testing.T) { eachDatabase(t, keepsStatus) }

func keepsStatus(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "token-1").ID
	_, err := n.SetSecrets(n.Context(), "alice", id, 0, 0, []byte("token-2"), "on_hold")
	is(n, "on hold", err, nil)
	_, err = n.MarkReauth(n.Context(), id, 0, 2, AnyHolder, "invalid_grant")
	is(n, "given up", err, nil)
	is(n, "saved", n.save(id, 2, AnyHolder, "token-3"), nil)
	if c := n.find(id); c.Status != "on_hold" || c.Reason != "" || string(c.Secret(0)) != "token-3" {
		n.Errorf("%v %s", c, c.Reason)
	}
}

func TestRelease(t *testing.T) { eachDatabase(t, release) }

func release(d *database) {
	n := d.node()
	id := n.create("alice", "acme").ID // its first token is still to come
	is(n, "a lease", n.lease(id, 0, "a", time.Minute), nil)
	is(n, "released", n.Release(n.Context(), id, "a", 0), nil)
	is(n, "at once", n.lease(id, 0, "b", time.Minute), nil)
	is(n, "released with a pause", n.Release(n.Context(), id, "b", 500*time.Millisecond), nil)
	wait, err := n.Lease(n.Context(), id, 0, 0, "b", time.Minute)
	is(n, "in the pause", err, ErrPaused)
	if wait <= 0 || wait > 500*time.Millisecond {
		n.Errorf("the pause ends in %v", wait)
	}
	eventually(n, "the end of the pause", func() bool { return n.lease(id, 0, "b", time.Minute) == nil })
	is(n, "saved", n.save(id, 0, "b", "token-1"), nil)
	if c := n.find(id); string(c.Secret(0)) != "token-1" || c.SecretVersion(0) != 1 {
		n.Errorf("%v %q", c, c.Secret(0))
	}
}

// Of many on all nodes, one has the lease.
func TestOneLease(t *testing.T) {
	eachDatabase(t, func(d *database) {
		nodes := []*node{d.node()}
		if d.path == "" {
			nodes = append(nodes, d.node(), d.node())
		}
		id := nodes[0].create("alice", "acme", "token-1").ID
		for version := int64(1); version <= 10; version++ { // in the first one, most are still connecting
			var granted atomic.Int64
			var all sync.WaitGroup
			for i, n := range nodes {
				for j := range 30 / len(nodes) {
					all.Go(func() {
						switch err := n.lease(id, version, fmt.Sprint(i, " ", j), time.Minute); {
						case err == nil:
							granted.Add(1)
						case !errors.Is(err, ErrLeased):
							d.Error(err)
						}
					})
				}
			}
			all.Wait()
			if granted.Load() != 1 {
				d.Errorf("%d have the lease", granted.Load())
			}
			is(d, "saved", nodes[0].save(id, version, AnyHolder, "token"), nil)
		}
	})
}

// Who waits on another node is told of what has become of a refresh.
func TestWait(t *testing.T) {
	eachDatabase(t, func(d *database) {
		before := waitCheck
		waitCheck = time.Hour
		d.Cleanup(func() { waitCheck = before })
		a := d.node()
		b := a
		if d.path == "" {
			b = d.node()
		}
		for what, end := range map[string]func(id string) error{
			"saved":    func(id string) error { return a.save(id, 1, "a", "token-2") },
			"released": func(id string) error { return a.Release(d.Context(), id, "a", time.Minute) },
			"given up": func(id string) error { _, err := a.MarkReauth(d.Context(), id, 0, 1, "a", "x"); return err },
			"deleted":  func(id string) error { return a.Delete(d.Context(), "alice", id) },
		} {
			id := a.create("alice", what, "token-1").ID
			is(d, "a lease", a.lease(id, 1, "a", time.Minute), nil)
			waiting := make(chan error, 1)
			go func() { waiting <- b.Wait(d.Context(), id, 0, 1) }()
			eventually(d, "somebody who waits", func() bool {
				b.cache.mu.Lock()
				defer b.cache.mu.Unlock()
				return b.cache.watches[id] != nil
			})
			_, err := a.Update(d.Context(), "alice", id, 0, Change{Name: pointer(what + "!")})
			is(d, "something else", err, nil)
			select {
			case err := <-waiting:
				d.Errorf("%s: it did not wait: %v", what, err)
			case <-time.After(50 * time.Millisecond):
			}
			is(d, what, end(id), nil)
			select {
			case err := <-waiting:
				if what == "deleted" {
					is(d, what, err, ErrUnknown)
				} else {
					is(d, what, err, nil)
				}
			case <-time.After(time.Minute):
				d.Errorf("%s: it still waits", what)
			}
			if len(b.cache.watches) != 0 {
				d.Errorf("%d watches", len(b.cache.watches))
			}
		}
		id := a.create("alice", "x", "token-1").ID
		is(d, "a lease", a.lease(id, 1, "a", time.Minute), nil)
		ctx, cancel := context.WithTimeout(d.Context(), 10*time.Millisecond)
		defer cancel()
		is(d, "an end of patience", b.Wait(ctx, id, 0, 1), context.DeadlineExceeded)
		is(d, "another version", b.Wait(d.Context(), id, 0, 2), nil)
	})
}
