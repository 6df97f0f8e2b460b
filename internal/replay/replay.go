// Package replay remembers which signed messages were taken, so that each is
// taken once.
package replay

import (
	"sync"
	"time"
)

// span is the range of expiry times, in seconds, that are forgotten together.
const span = 60

// Key names what may be taken once. It is made of random bits, or of a hash.
type Key [24]byte

// Why Add refuses.
const (
	Expired  = "expired"
	Replayed = "replayed"
	Full     = "replay_cache_full"
)

// Cache remembers keys, each until its message has expired. They are grouped by
// when that is, not by their arrival: a whole group then expires at once, and a
// message that comes when it is made need not be remembered for twice the
// allowed skew. A cache that is a package variable outlives config reloads.
type Cache struct {
	max int

	mu     sync.Mutex
	held   int
	groups map[int64]map[Key]struct{} // by expiry / span
}

// New returns a cache of at most limit keys. A key takes about 60 bytes.
func New(limit int) *Cache {
	return &Cache{max: limit, groups: make(map[int64]map[Key]struct{})}
}

// Add remembers the keys of a message that was created at that Unix time and is
// good for skew seconds before and after, or says why the message must be
// refused: it is out of time, or one of its keys is known. When the cache is
// full it is refused too: forgetting early would let a replay pass.
//
// It reads the clock itself, under the lock. A message that expired while its
// body was read, or while it waited here, could otherwise come after its keys
// were forgotten.
func (c *Cache) Add(created, skew int64, clock func() time.Time, keys ...Key) (refusal string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := clock().Unix()
	if !InTime(created, skew, now) {
		return Expired
	}
	replayed := false
	for number, group := range c.groups {
		if (number+1)*span <= now { // its last second has passed
			c.held -= len(group)
			delete(c.groups, number)
			continue
		}
		for _, key := range keys {
			_, seen := group[key]
			replayed = replayed || seen
		}
	}
	if replayed {
		return Replayed
	}
	if c.held+len(keys) > c.max {
		return Full
	}
	number := (created + skew) / span
	group := c.groups[number]
	if group == nil {
		group = make(map[Key]struct{})
		c.groups[number] = group
	}
	c.held -= len(group)
	for _, key := range keys {
		group[key] = struct{}{}
	}
	c.held += len(group)
	return ""
}

// Len returns how many keys are held.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// InTime reports whether what was created at that Unix time is at most skew
// seconds from now, in the past or in the future.
func InTime(created, skew, now int64) bool {
	return now-skew <= created && created <= now+skew
}
