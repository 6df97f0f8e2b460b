package vault

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// MaxStale is for how long at most a connection is used that another node has
// changed or deleted.
const MaxStale = 5 * time.Second

const (
	maxConnections = 100_000  // in memory
	maxBytes       = 64 << 20 // in memory, about
)

// cache holds connections in memory. It reads nothing itself.
type cache struct {
	entries *otter.Cache[string, *entry]
	alone   bool // no other process changes connections

	// What is known of other nodes' changes, in nanoseconds since this process began.
	since    atomic.Int64 // what was read before may be outdated
	verified atomic.Int64 // all changes before have been heard, if they came after since

	mu      sync.Mutex
	flights map[string]*flight
	watches map[string]*watch
}

// entry is what was read of one connection.
type entry struct {
	connection *Connection
	err        error // ErrUnreadable or ErrKeyMissing
	at         int64 // before it was read
}

// flight is a read that is under way.
type flight struct {
	done chan struct{} // closed when the rest is there
	entry
}

func newCache(alone bool) *cache {
	// one weight for both bounds
	weigh := func(_ string, e *entry) uint32 {
		size := maxBytes/maxConnections + 1
		if e.connection != nil {
			size = max(size, e.connection.size())
		}
		return uint32(size) //nolint:gosec // the parts have limits
	}
	return &cache{
		entries: otter.Must(&otter.Options[string, *entry]{MaximumWeight: maxBytes, Weigher: weigh}),
		alone:   alone, flights: make(map[string]*flight), watches: make(map[string]*watch),
	}
}

// get returns what can be used, or nil.
func (c *cache) get(id string) *entry {
	e, ok := c.entries.GetIfPresent(id)
	if !ok || !c.fresh(e) {
		return nil
	}
	return e
}

func (c *cache) fresh(e *entry) bool {
	if c.alone && e.err == nil {
		return true
	}
	now := elapsed()
	if now-e.at < int64(MaxStale) {
		return e.at >= c.since.Load()
	}
	return e.err == nil && e.at >= c.since.Load() && now-c.verified.Load() < int64(MaxStale)
}

// trust says that from now on changes of other nodes are heard.
func (c *cache) trust() {
	now := elapsed()
	c.since.Store(now)
	c.verified.Store(now)
}

// verify says that all changes before a time have been heard.
func (c *cache) verify(at int64) { c.verified.Store(at) }

// fly returns the read of a connection that is under way, or else begins one.
func (c *cache) fly(id string, read func() entry) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[id]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	c.flights[id] = f
	go func() {
		f.entry = read()
		c.land(id, f)
		close(f.done)
	}()
	return f
}

// land keeps what was read, unless it may have been changed meanwhile.
func (c *cache) land(id string, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[id] != f {
		return
	}
	delete(c.flights, id)
	if f.connection != nil || f.err == ErrUnreadable || f.err == ErrKeyMissing { //nolint:errorlint // they are never wrapped
		c.entries.Set(id, &entry{f.connection, f.err, f.at})
	} else {
		c.entries.Invalidate(id)
	}
}

// changed forgets a connection that had an earlier version, and has those look who
// wait for it. What is being read is only for those who wait for that already.
func (c *cache) changed(id string, version int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watches[id]; w != nil {
		close(w.woken)
		w.woken = make(chan struct{})
	}
	if version == 0 { // only its lease has
		return
	}
	delete(c.flights, id)
	if e, ok := c.entries.GetEntryQuietly(id); ok && (e.Value.connection == nil || e.Value.connection.Version < version) {
		c.entries.Invalidate(id)
	}
}

func (c *cache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.flights)
	c.entries.InvalidateAll()
}

// watch is a connection that somebody waits for.
type watch struct {
	users int
	woken chan struct{} // closed when it changes
}

// watch has a function learn when a connection changes: what it calls returns the
// channel that is closed with the next change.
func (c *cache) watch(id string) (next func() <-chan struct{}, end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.watches[id]
	if w == nil {
		w = &watch{woken: make(chan struct{})}
		c.watches[id] = w
	}
	w.users++
	next = func() <-chan struct{} {
		c.mu.Lock()
		defer c.mu.Unlock()
		return w.woken
	}
	end = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if w.users--; w.users == 0 {
			delete(c.watches, id)
		}
	}
	return next, end
}
