package vault

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// What is in memory costs no statement, nor an allocation.
func TestHit(t *testing.T) { eachDatabase(t, hit) }

func hit(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "key").ID
	first := n.find(id)
	n.exec("ALTER TABLE connector_connections RENAME TO connector_elsewhere")
	if got := reads(func() {
		for range 1000 {
			if n.find(id) != first {
				n.Error("another snapshot")
			}
		}
	}); got != 0 {
		n.Errorf("%d reads", got)
	}
	if allocations := testing.AllocsPerRun(1000, func() { _, _ = n.Find(n.Context(), id) }); allocations != 0 {
		n.Errorf("%v allocations", allocations)
	}
	first.Memo().Store("decoded")
	if n.find(id).Memo().Load() != "decoded" {
		n.Error("the memo is gone")
	}
	n.cache.forgetAll()
	if _, err := n.Find(n.Context(), id); err == nil {
		n.Error("the table is there")
	}
}

// Callers who miss the same connection share a read, and what is not there takes
// no room.
func TestMiss(t *testing.T) { eachDatabase(t, miss) }

func miss(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "key").ID
	if got := reads(func() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { n.find(id) })
		}
		all.Wait()
	}); got != 1 {
		n.Errorf("%d reads", got)
	}
	for range 100 {
		_, err := n.Find(n.Context(), newID())
		is(n, "unknown", err, ErrUnknown)
	}
	n.cache.entries.CleanUp()
	if size := n.cache.entries.EstimatedSize(); size != 1 || len(n.cache.flights) != 0 {
		n.Errorf("%d entries, %d reads under way", size, len(n.cache.flights))
	}
	if got := reads(func() { _, _ = n.Find(n.Context(), "malformed") }); got != 0 {
		n.Error("a malformed id was looked up")
	}
}

// snapshot is a connection that was made without a database.
func snapshot(id string, version int64, size int) *Connection {
	c := &Connection{ID: id, Version: version, Name: strings.Repeat("x", size)}
	c.hide(new(inner))
	return c
}

// put has the cache hold a connection that was read just now.
func (c *cache) put(found *Connection) {
	<-c.fly(found.ID, func() entry { return entry{connection: found, at: elapsed()} }).done
}

func TestBounds(t *testing.T) {
	for what, size := range map[string]int{"many": 0, "large": 1 << 20} {
		c := newCache(true)
		for i := range maxConnections + 1000 {
			if c.put(snapshot(fmt.Sprint(i), 1, 0)); size > 0 && i == 500 {
				break
			}
		}
		for i := range 200 {
			c.put(snapshot(fmt.Sprint("large", i), 1, size))
		}
		c.entries.CleanUp()
		if entries, weight := c.entries.EstimatedSize(), c.entries.WeightedSize(); entries > maxConnections || weight > maxBytes || weight < maxBytes/2 {
			t.Errorf("%s: %d entries of %d bytes", what, entries, weight)
		}
	}
}

// A read that was under way when something changed may have found what was before:
// it is not kept, and who comes later doesn't get it.
func TestChangeDuringRead(t *testing.T) {
	c := newCache(true)
	began, end := make(chan struct{}), make(chan struct{})
	slow := c.fly("x", func() entry {
		at := elapsed()
		close(began)
		<-end
		return entry{connection: snapshot("x", 1, 0), at: at}
	})
	<-began
	if c.fly("x", nil) != slow {
		t.Error("no shared read")
	}
	c.changed("x", unchanged)
	if c.fly("x", nil) != slow {
		t.Error("the end of a lease has ended a read")
	}
	c.changed("x", 2)
	c.put(snapshot("x", 2, 0))
	close(end)
	<-slow.done
	if e := c.get("x"); e == nil || e.connection.Version != 2 {
		t.Errorf("in memory: %v", e)
	}
	c.changed("x", 2) // one's own change, heard after it
	if c.get("x") == nil {
		t.Error("the current version is gone")
	}
	c.changed("x", 3)
	if c.get("x") != nil {
		t.Error("the old version is there")
	}
}

func TestFresh(t *testing.T) {
	const second = int64(time.Second)
	now := elapsed() + 100*second // so that all times are positive
	began = began.Add(-100 * time.Second)
	for _, c := range []struct {
		what                string
		at, since, verified int64 // before now
		alone               bool
		err                 error
		fresh               bool
	}{
		{what: "alone", at: 99 * second, since: 100 * second, verified: 100 * second, alone: true, fresh: true},
		{what: "an error, alone", at: 6 * second, since: 100 * second, verified: 100 * second, alone: true, err: ErrUnreadable},
		{what: "a new error, alone", at: second, since: 100 * second, verified: 100 * second, alone: true, err: ErrUnreadable, fresh: true},
		{what: "never listened, just read", at: second, since: 100 * second, verified: 100 * second, fresh: true},
		{what: "never listened", at: 6 * second, since: 100 * second, verified: 100 * second},
		{what: "listening", at: 50 * second, since: 60 * second, verified: second, fresh: true},
		{what: "read before it listened", at: 2 * second, since: second, verified: second},
		{what: "no answer any more", at: 50 * second, since: 60 * second, verified: 6 * second},
		{what: "no answer any more, just read", at: second, since: 60 * second, verified: 30 * second, fresh: true},
		{what: "an error", at: 6 * second, since: 60 * second, verified: second, err: ErrUnreadable},
	} {
		cache := newCache(c.alone)
		cache.since.Store(now - c.since)
		cache.verified.Store(now - c.verified)
		if got := cache.fresh(&entry{err: c.err, at: now - c.at}); got != c.fresh {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// Who has changed a connection finds it changed.
func TestReadYourWrites(t *testing.T) { eachDatabase(t, readYourWrites) }

func readYourWrites(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "key").ID
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 15 {
				changed, err := n.Update(n.Context(), "alice", id, 0, Change{Variables: &map[string]string{"x": fmt.Sprint(worker, i)}})
				if err != nil {
					n.Error(err)
					return
				}
				if found, err := n.Find(n.Context(), id); err != nil || found.Version < changed.Version {
					n.Errorf("found %v, %v after %v", found, err, changed)
				}
			}
		})
	}
	all.Wait()
	if c := n.find(id); c.Version != 1+8*15 {
		n.Errorf("version %d", c.Version)
	}
	if err := n.Delete(n.Context(), "alice", id); err != nil {
		n.Fatal(err)
	}
	if _, err := n.Find(n.Context(), id); !errors.Is(err, ErrUnknown) {
		n.Errorf("found after it was deleted: %v", err)
	}
}

// Who cannot change a connection cannot have it read again either.
func TestRefusalsLeaveMemory(t *testing.T) {
	n := inFile(t).node()
	id := n.create("alice", "acme", "key").ID
	n.create("alice", "taken", "key")
	n.find(id)
	if got := reads(func() {
		_ = n.Delete(t.Context(), "bob", id)
		_, _ = n.Update(t.Context(), "bob", id, 0, Change{Name: pointer("x")})
		_, _ = n.Update(t.Context(), "alice", id, 0, Change{Name: pointer("taken")})
		_, _ = n.Update(t.Context(), "alice", id, 9, Change{Name: pointer("x")})
		n.find(id)
	}); got != 0 {
		t.Errorf("%d reads", got)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, alone := range []bool{true, false} {
		b.Run(map[bool]string{true: "sqlite", false: "postgres"}[alone], func(b *testing.B) {
			s := &Store{cache: newCache(alone)}
			s.cache.trust()
			ids := make([]string, 1000)
			for i := range ids {
				ids[i] = newID()
				s.cache.put(snapshot(ids[i], 1, 0))
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if i%1000 == 0 {
						s.cache.verify(elapsed())
					}
					if c, err := s.Find(b.Context(), ids[i%len(ids)]); c == nil || err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
