package proxyauth

import (
	"sync"
	"time"
)

const (
	// maxSkew is how far, in seconds, the time of a signature may be from ours.
	maxSkew = 300

	// maxNonces bounds the memory for nonces to about 60 MB. They are held for
	// 5 to 6 minutes, so it is enough for 2,900 requests a second all that time.
	maxNonces = 1 << 20

	// nonceSpan is the range of creation times, in seconds, that are forgotten
	// together.
	nonceSpan = 60
)

// replays is a package variable so that a config reload forgets nothing, and a
// request that one site has taken is not taken by another of this process.
var replays = newReplayCache(maxNonces)

// nonceKey is a nonce followed by the id of its key.
type nonceKey [nonceSize + 8]byte

func keyOf(params signatureParams) (key nonceKey) {
	copy(key[:], params.nonce[:])
	copy(key[nonceSize:], params.keyID)
	return key
}

// replayCache remembers the nonces of the requests that passed, each until its
// signature has expired. They are grouped by the time of their signature, not
// of their arrival: a whole group then expires at once, and a request that comes
// when it is made need not be remembered for twice the allowed skew.
type replayCache struct {
	max int

	mu     sync.Mutex
	held   int
	groups map[int64]map[nonceKey]struct{} // by created / nonceSpan
}

func newReplayCache(limit int) *replayCache {
	return &replayCache{max: limit, groups: make(map[int64]map[nonceKey]struct{})}
}

// add remembers a nonce, or says why the request must be refused. When the
// cache is full it is refused too: forgetting early would let a replay pass.
//
// It reads the clock itself, under the lock. A request whose signature expired
// while its body was read, or while it waited here, could otherwise come after
// its nonce was forgotten.
func (c *replayCache) add(key nonceKey, created int64, clock func() time.Time) (refusal string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := clock().Unix()
	if expired(created, now) {
		return "expired"
	}
	for group, nonces := range c.groups {
		if (group+1)*nonceSpan <= now-maxSkew { // its last second has expired
			c.held -= len(nonces)
			delete(c.groups, group)
		} else if _, seen := nonces[key]; seen {
			return "replayed"
		}
	}
	if c.held >= c.max {
		return "replay_cache_full"
	}
	group := created / nonceSpan
	if c.groups[group] == nil {
		c.groups[group] = make(map[nonceKey]struct{})
	}
	c.groups[group][key] = struct{}{}
	c.held++
	return ""
}

// expired reports whether a signature is too old, or from too far in the future.
func expired(created, now int64) bool {
	return created < now-maxSkew || created > now+maxSkew
}
