package connections

import (
	"sync"

	"golang.org/x/time/rate"
)

// maxLimiters is how many connections' limits an API remembers.
const maxLimiters = 10_000

// limiters are those of an API's connections. They outlive the snapshots of a
// connection, so that changing it does not allow it more requests.
type limiters struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

// of returns the connection's, which allows n requests a second. It is asked once
// for each snapshot.
func (l *limiters) of(id string, n int) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.by[id]; known != nil {
		return known
	}
	if len(l.by) >= maxLimiters {
		l.forget(n)
	}
	if l.by == nil {
		l.by = make(map[string]*rate.Limiter)
	}
	made := rate.NewLimiter(rate.Limit(n), n)
	l.by[id] = made
	return made
}

// forget makes room: those that are full are as good as new ones. If there is
// none, any one goes.
func (l *limiters) forget(n int) {
	for id, limiter := range l.by {
		if limiter.Tokens() >= float64(n) {
			delete(l.by, id)
		}
	}
	for id := range l.by {
		if len(l.by) < maxLimiters {
			return
		}
		delete(l.by, id)
	}
}
