package subscriptions

import (
	"hash/fnv"
	"slices"
	"sync/atomic"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// cluster is the nodes that share a database, as one of them sees it. Each
// subscription has one of them for a home, which alone sends its deliveries, so
// that its limits and its order hold. While nodes see different clusters, leases
// keep two of them from sending the same.
type cluster struct {
	node  string
	alone bool // no other process can use the database

	nodes    atomic.Pointer[[]string]
	lastBeat atomic.Int64 // microseconds since 1970, by this node's clock
	returned atomic.Int64 // when it beat again after it could not
	session  atomic.Bool  // whether others would see its session with the database end
}

func newCluster(db *datastore.DB, node string) *cluster {
	return &cluster{node: node, alone: db.Dialect() == datastore.SQLite}
}

// isHome reports whether this node is a subscription's home. Who cannot say that
// it lives is nobody's: others take it for dead soon.
func (c *cluster) isHome(subscription string) bool {
	if c.alone {
		return true
	}
	if c.silent() {
		return false
	}
	nodes := c.nodes.Load()
	if nodes == nil || len(*nodes) == 1 {
		return true
	}
	return homeOf(subscription, *nodes) == c.node
}

// silent reports whether others may soon take this node for dead.
func (c *cluster) silent() bool {
	limit := nodeTimeout - heartbeat
	if !c.session.Load() {
		limit = heartbeat + time.Second
	}
	return time.Since(time.UnixMicro(c.lastBeat.Load())) > limit
}

// mayBury reports whether this node would know whether others live: who could not
// beat itself gives them time, as they may just be coming back with the database.
func (c *cluster) mayBury(at time.Time) bool {
	last := c.lastBeat.Load()
	if last != 0 && at.Sub(time.UnixMicro(last)) > sessionTimeout {
		c.returned.Store(micros(at))
	}
	return at.Sub(time.UnixMicro(c.returned.Load())) > sessionTimeout
}

// homeOf chooses a node by rendezvous hashing: when one comes or goes, only its
// own subscriptions move.
func homeOf(subscription string, nodes []string) (home string) {
	var best uint64
	for _, node := range nodes {
		h := fnv.New64a()
		_, _ = h.Write([]byte(node))
		_, _ = h.Write([]byte(subscription))
		if weight := mix(h.Sum64()); home == "" || weight > best {
			home, best = node, weight
		}
	}
	return home
}

// mix spreads what differs in a few bits only over all of them: the finalizer of
// MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// seen takes the nodes that live, and reports whether they have changed.
func (c *cluster) seen(nodes []string, at time.Time) (changed bool) {
	slices.Sort(nodes)
	before := c.nodes.Swap(&nodes)
	stale := c.silent()
	c.lastBeat.Store(micros(at))
	return before == nil || stale || !slices.Equal(*before, nodes)
}
