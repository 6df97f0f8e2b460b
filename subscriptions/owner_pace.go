package subscriptions

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often a user may have targets asked at once, by handshakes and by tests:
// they choose whom. Retry-After is the time that one takes to be allowed again.
const (
	ownerBurst = 30
	ownerRate  = rate.Limit(1) // a second

	maxPaced = 10_000 // users that are remembered
	lookedAt = 32     // of them, to forget one
)

// ownerPace bounds what each user may have done at once. The zero value is ready.
type ownerPace struct {
	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

// allow reports whether a user may have a target asked now.
func (p *ownerPace) allow(owner string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter := p.limiters[owner]
	if limiter == nil {
		p.makeRoom(now)
		limiter = rate.NewLimiter(ownerRate, ownerBurst)
		p.limiters[owner] = limiter
	}
	return limiter.AllowN(now, 1)
}

// makeRoom forgets a user if there are many: of some, who come in any order, the
// one that may do the most at once.
func (p *ownerPace) makeRoom(now time.Time) {
	if p.limiters == nil {
		p.limiters = make(map[string]*rate.Limiter)
	}
	if len(p.limiters) < maxPaced {
		return
	}
	forgotten, most, seen := "", -1.0, 0
	for owner, limiter := range p.limiters {
		if tokens := limiter.TokensAt(now); tokens > most {
			forgotten, most = owner, tokens
		}
		if seen++; seen == lookedAt {
			break
		}
	}
	delete(p.limiters, forgotten)
}
