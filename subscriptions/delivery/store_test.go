package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// row is a delivery as a store has it.
type row struct {
	Delivery

	state    State
	due      time.Time
	node     string // that has leased it, or ""
	attempts []Attempt
}

// subscription is what a store knows of one.
type subscription struct {
	target *Target // nil while it is paused, or when it has ended
	to     Recipient
	rows   []*row // by id; those that are not pending any more are dropped now and then
}

// ledger is the database that the stores of all nodes of a test share. It checks
// that the engine keeps to the rules of leases.
type ledger struct {
	t *testing.T

	mu            sync.Mutex
	last          int64 // id
	rows          map[int64]*row
	subscriptions map[string]*subscription
	calls         map[string]int // by method
	reports       []report
}

type report struct {
	Condition
	subscription string
	at           time.Time
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, rows: make(map[int64]*row), subscriptions: make(map[string]*subscription), calls: make(map[string]int)}
}

// store is the Store of one node. What its fields say holds for all methods.
type store struct {
	*ledger
	node    string
	latency func(method string) time.Duration
	// fails has a method fail: before it did anything, or after it has done it
	fails func(method string) (before, after bool)
	// watch is called at the beginning and the end of each call
	watch func()
}

var errAway = errors.New("the store is away")

// call is what all methods have in common.
func (s *store) call(ctx context.Context, method string, do func()) error {
	if s.watch != nil {
		s.watch()
		defer s.watch()
	}
	s.mu.Lock()
	s.calls[method]++
	s.mu.Unlock()
	if s.latency != nil {
		select {
		case <-time.After(s.latency(method)):
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var before, after bool
	if s.fails != nil {
		before, after = s.fails(method)
	}
	if before {
		return errAway
	}
	s.mu.Lock()
	do()
	s.mu.Unlock()
	if s.latency != nil { // the answer takes its time, too
		time.Sleep(s.latency(method))
	}
	if after {
		return errAway
	}
	return nil
}

func (s *store) Waiting(ctx context.Context) (waiting []Due, err error) {
	err = s.call(ctx, "Waiting", func() {
		for _, sub := range s.subscriptions {
			var at time.Time
			for _, r := range sub.rows {
				if r.state == Pending && r.node == "" && (at.IsZero() || r.due.Before(at)) {
					at = r.due
				}
			}
			if !at.IsZero() {
				waiting = append(waiting, Due{Recipient: sub.to, At: at})
			}
		}
	})
	return waiting, err
}

func (s *store) Claim(ctx context.Context, subscription string, ordered bool, limit Limit) (claimed []*Delivery, next time.Time, err error) {
	err = s.call(ctx, "Claim", func() {
		if limit.Deliveries <= 0 || limit.Bytes <= 0 {
			s.t.Errorf("%s: claim of %+v", subscription, limit)
		}
		claimed, next = s.claim(subscription, ordered, limit)
	})
	return claimed, next, err // it may have been done all the same
}

func (s *store) claim(id string, ordered bool, limit Limit) (claimed []*Delivery, next time.Time) {
	sub := s.subscriptions[id]
	sub.rows = slices.DeleteFunc(sub.rows, func(r *row) bool { return r.state != Pending })
	now := time.Now()
	size, full := 0, false
	for _, r := range sub.rows {
		other := r.node != "" && r.node != s.node
		if ordered && (other || r.due.After(now)) {
			full = true // nothing behind it
		}
		if r.node != "" {
			continue
		}
		size += len(r.Message.Body)
		full = full || len(claimed) == limit.Deliveries || len(claimed) > 0 && size > limit.Bytes
		if r.due.After(now) || full {
			if next.IsZero() || !ordered && r.due.Before(next) {
				next = r.due
			}
			continue
		}
		r.node = s.node
		leased := r.Delivery
		claimed = append(claimed, &leased)
	}
	return claimed, next
}

func (s *store) Finish(ctx context.Context, results []Result) error {
	return s.call(ctx, "Finish", func() {
		for _, result := range results {
			s.finish(result)
		}
	})
}

func (s *store) finish(result Result) {
	d := result.Delivery
	r := s.rows[d.ID]
	switch {
	case len(r.attempts) >= d.Attempts && r.node != s.node: // a repeated call
		return
	case r.state == Cancelled:
		r.attempts = append(r.attempts, result.Attempt)
		return
	case r.state != Pending || r.node != s.node:
		s.t.Errorf("%s of %s is finished as %d; its state is %d, and %q has leased it", d.Message.EventID, d.Subscription, result.State, r.state, r.node)
	case d.Attempts != r.Attempts+1 || d.Tries != r.Tries+1:
		s.t.Errorf("%s of %s: attempt %d (%d) follows %d (%d)", d.Message.EventID, d.Subscription, d.Attempts, d.Tries, r.Attempts, r.Tries)
	}
	r.attempts = append(r.attempts, result.Attempt)
	r.Attempts, r.Tries = d.Attempts, d.Tries
	r.state, r.due, r.node = result.State, result.Due, ""
}

func (s *store) Release(ctx context.Context, deliveries []*Delivery) error {
	return s.call(ctx, "Release", func() {
		for _, d := range deliveries {
			if r := s.rows[d.ID]; r.state == Pending && r.node == s.node {
				r.node = ""
			} else if r.state != Cancelled && s.fails == nil {
				s.t.Errorf("%s of %s is released; its state is %d, and %q has leased it", d.Message.EventID, d.Subscription, r.state, r.node)
			}
		}
	})
}

func (s *store) Target(ctx context.Context, id string) (target *Target, err error) {
	err = s.call(ctx, "Target", func() {
		if kept := s.subscriptions[id].target; kept != nil {
			copied := *kept
			target = &copied
		}
	})
	if err != nil {
		return nil, err
	}
	return target, nil
}

func (s *store) Report(ctx context.Context, id string, c Condition) error {
	return s.call(ctx, "Report", func() {
		s.reports = append(s.reports, report{c, id, time.Now()})
		sub := s.subscriptions[id]
		if sub.target == nil {
			return
		}
		switch c.Health {
		case Failing:
			if sub.target.FailingSince.IsZero() {
				sub.target.FailingSince = c.Since
			}
			sub.target.Warnings = c.Warnings
		case Recovered:
			sub.target.FailingSince, sub.target.Warnings = time.Time{}, 0
		case Disabled:
			sub.target = nil
		case Gone:
			s.end(sub)
		}
	})
}

// end ends a subscription, and cancels its deliveries, also those that are
// leased.
func (s *ledger) end(sub *subscription) {
	sub.target = nil
	for _, r := range sub.rows {
		if r.state == Pending {
			r.state, r.node = Cancelled, ""
		}
	}
}

// insert stores a delivery. s.mu is held.
func (s *ledger) insert(to string, message *Message, node string) *Delivery {
	s.last++
	r := &row{due: time.Now(), node: node}
	r.Delivery = Delivery{ID: s.last, Subscription: to, Since: time.Now(), Message: message}
	s.rows[r.ID] = r
	s.subscriptions[to].rows = append(s.subscriptions[to].rows, r)
	leased := r.Delivery
	return &leased
}

// count returns how many deliveries of a subscription, or of all for "", have
// each state.
func (s *ledger) count(of string) map[State]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := make(map[State]int)
	for _, r := range s.rows {
		if of == "" || r.Subscription == of {
			count[r.state]++
		}
	}
	return count
}

// leased returns the deliveries that somebody has leased.
func (s *ledger) leased() (leased []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.node != "" {
			leased = append(leased, fmt.Sprintf("%s of %s by %s", r.Message.EventID, r.Subscription, r.node))
		}
	}
	return leased
}

// called returns how many calls there were, of one method or of all for "".
func (s *ledger) called(method string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, calls := range s.calls {
		if method == "" || method == name {
			n += calls
		}
	}
	return n
}

// told returns the reports on a subscription.
func (s *ledger) told(of string) (told []report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports {
		if r.subscription == of {
			told = append(told, r)
		}
	}
	return told
}

// setTarget has a subscription's target changed, made or (for nil) taken away.
func (s *ledger) setTarget(id string, target *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscriptions[id] == nil {
		s.subscriptions[id] = new(subscription)
	}
	sub := s.subscriptions[id]
	if sub.target = target; target != nil {
		sub.to = Recipient{Subscription: id, Ordered: target.Ordered, Rate: target.Rate}
	}
}
