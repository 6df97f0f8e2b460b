// Package delivery brings published events to subscribers' webhooks: at least
// once, each subscription isolated from the others, with bounded memory and
// without polling.
//
// A Store keeps deliveries durably; the Engine decides what is sent when. What
// this node has just committed goes out from memory. The store is asked only
// for retries that have become due, for what a dead node has left, and for what
// memory could not hold.
package delivery

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// Delivery is one event on its way to one subscription.
type Delivery struct {
	ID           int64
	Subscription string
	Attempts     int       // made so far
	Tries        int       // those of them since it was last published or replayed
	Since        time.Time // when that was
	Message      *Message

	// of the attempt that is made now:
	late    bool // whether it has a slot for endpoints that fail
	probe   bool // whether it is to find out if the endpoint is there again
	ordered bool // whether it has its slot until its result is stored
	version int  // what this node was told about the subscription when it began
}

// size is about the memory that a delivery takes. Those of one event share its
// body: that they are counted as if not errs on the safe side.
func (d *Delivery) size() int { return overhead + len(d.Message.Body) }

const overhead = 512

// Message is an event as it is sent. Deliveries of one event may share it.
type Message struct {
	EventID     string
	Published   time.Time
	Traceparent string // of the request that published it (W3C Trace Context), or ""
	Body        []byte
	DataAt      int // where in the body the data begins; a brace follows it
}

// Target is where a subscription's deliveries go.
type Target struct {
	URL     string
	Header  http.Header // further fields, such as a subscriber's Authorization
	Secrets []signature.Secret
	Names   signature.Names     // of the fields of the signature
	Hub     signature.HubSecret // of another signature; zero for none
	Hook    signature.HubSecret // of the one that goes with X-Hook-Secret; zero for none
	Ordered bool
	Flat    bool // whether the data alone is the body
	Rate    int  // the most deliveries a second; 0 for any

	Until time.Time // when the store is asked for it anew; zero for never

	FailingSince time.Time // zero unless it fails
	Warnings     int       // that its owner had since then
}

func (t *Target) isOver(now time.Time) bool { return !t.Until.IsZero() && !now.Before(t.Until) }

// Result is what an attempt came to.
type Result struct {
	Delivery *Delivery
	State    State
	Due      time.Time // of the next attempt, for Pending
	Attempt  Attempt
}

// State is where a delivery stands.
type State int

// States of a delivery. Only pending ones have attempts before them.
const (
	Pending State = iota
	Delivered
	Dead      // it was tried until it was too old
	Cancelled // its subscription ended
)

// Attempt is one request to a subscriber.
type Attempt struct {
	Started  time.Time
	Duration time.Duration
	Status   int    // 0 where there was no answer
	Error    string // a stable name of what went wrong, or ""
}

// Due is a subscription with deliveries that are nobody's, and when the first of
// them is due.
type Due struct {
	Recipient
	At time.Time
}

// Recipient is a subscription that gets a delivery.
type Recipient struct {
	Subscription string
	Ordered      bool // one attempt at a time, in the order of publishing
	Rate         int  // the most deliveries a second; 0 for any
}

// Condition is what has become of an endpoint.
type Condition struct {
	Health    Health
	Since     time.Time // of the first failure
	Warnings  int       // that its owner had, with this one
	DisableAt time.Time // when it is disabled if it goes on failing
	Status    int       // of the last attempt
	Error     string    // of the last attempt
}

// Health is how an endpoint does.
type Health string

// The kinds of health that a store is told of.
const (
	Failing   Health = "failing"   // several attempts in a row
	Recovered Health = "recovered" // after it was Failing
	Disabled  Health = "disabled"  // it failed for too long
	Gone      Health = "gone"      // it answered 410
)

// Sort puts deliveries in the order of publishing.
func Sort(deliveries []*Delivery) {
	slices.SortFunc(deliveries, func(a, b *Delivery) int { return cmp.Compare(a.ID, b.ID) })
}

// Store keeps deliveries. A delivery that is pending is leased to one node, or
// to nobody; only the node that has the lease may finish it.
type Store interface {
	// Waiting returns every subscription with pending deliveries that nobody has
	// leased.
	Waiting(ctx context.Context) ([]Due, error)

	// Claim leases deliveries of a subscription that are due to this node, the
	// oldest first, and says when the next one is due (zero for none; not after
	// now where there are more). Of an ordered subscription it leases none behind
	// one that is not due, or that another node has. With an error it returns those
	// that may have been leased all the same.
	Claim(ctx context.Context, subscription string, ordered bool, limit Limit) (claimed []*Delivery, next time.Time, err error)

	// Finish stores what attempts came to, and ends the leases. Of deliveries
	// whose lease this node has lost only the attempt is kept.
	Finish(ctx context.Context, results []Result) error

	// Release ends the leases of deliveries that were not tried.
	Release(ctx context.Context, deliveries []*Delivery) error

	// Target returns where a subscription's deliveries go, or nil where it has
	// ended or is paused. It is asked again after an error, soon, or after
	// ErrUnreadable, a while later.
	Target(ctx context.Context, subscription string) (*Target, error)

	// Report stores how an endpoint does, and tells its owner. One that is gone or
	// disabled has no target any more; if it is gone, its deliveries are
	// cancelled.
	Report(ctx context.Context, subscription string, condition Condition) error
}

// Limit is how much is claimed: a number of deliveries, and, behind the first,
// bytes.
type Limit struct{ Deliveries, Bytes int }
