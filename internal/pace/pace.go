// Package pace keeps what users ask for from being done too often.
package pace

import (
	"sync"
	"time"
)

// maxKeys bounds how many keys may begin in one interval, and so the memory.
const maxKeys = 10_000

// Pace has each key begin at most once in an interval. It is safe for concurrent
// use.
type Pace struct {
	every time.Duration

	mu         sync.Mutex
	began      time.Time            // young
	young, old map[string]time.Time // when a key has begun; what is in neither may begin
}

// New returns the Pace of an interval.
func New(every time.Duration) *Pace { return &Pace{every: every} }

// Begin reports whether the key may begin now, and if so, remembers it.
func (p *Pace) Begin(key string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.young == nil || now.Sub(p.began) >= p.every {
		// what is in old has begun before young was, at least an interval ago
		p.old, p.young, p.began = p.young, make(map[string]time.Time), now
	}
	if now.Sub(p.young[key]) < p.every || now.Sub(p.old[key]) < p.every || len(p.young) >= maxKeys {
		return false
	}
	p.young[key] = now
	return true
}
