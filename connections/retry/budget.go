package retry

import "sync/atomic"

const (
	whole = 100 // a retry, in the budget's units

	share   = 20         // that each request pays in: a fifth of a retry
	reserve = 10 * whole // the most that is there
)

// Budget keeps retries from becoming most of an API's load when it fails: they are
// at most a fifth of the requests, and ten. The zero value is full; it can be
// used by several goroutines, without a lock.
type Budget struct {
	spent atomic.Int64 // of the reserve
}

// Request pays in for a request, once, whatever becomes of it.
func (b *Budget) Request() {
	for {
		spent := b.spent.Load()
		if spent == 0 || b.spent.CompareAndSwap(spent, max(spent-share, 0)) {
			return
		}
	}
}

// Take takes a retry out, or reports that there is none.
func (b *Budget) Take() bool {
	for {
		spent := b.spent.Load()
		if spent > reserve-whole {
			return false
		}
		if b.spent.CompareAndSwap(spent, spent+whole) {
			return true
		}
	}
}
