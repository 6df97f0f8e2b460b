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
	Attempts     int // made so far
	Message      *Message
}

// Message is an event as it is sent. Deliveries of one event may share it.
type Message struct {
	EventID   string
	Published time.Time
	Body      []byte
	DataAt    int // where in the body the data begins; a brace follows it
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
	Rate    int  // deliveries a second; 0 for any number
}

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
	Answer   []byte // the beginning of the answer's body
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
}

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

	// Claim leases up to limit deliveries of a subscription that are due to this
	// node, oldest first, and says when the next one is due (zero for none; not
	// after now where there are more). Of an ordered subscription it leases none
	// behind one that is not due, or that another node has.
	Claim(ctx context.Context, subscription string, ordered bool, limit int) (claimed []*Delivery, next time.Time, err error)

	// Finish stores what attempts came to, and ends the leases. Results of
	// deliveries whose lease this node has lost are dropped.
	Finish(ctx context.Context, results []Result) error

	// Release ends the leases of deliveries that were not tried.
	Release(ctx context.Context, deliveries []*Delivery) error

	// Target returns where a subscription's deliveries go, or nil where it has
	// ended or is paused.
	Target(ctx context.Context, subscription string) (*Target, error)

	// End ends a subscription whose subscriber has answered 410, and cancels its
	// deliveries.
	End(ctx context.Context, subscription string) error
}
