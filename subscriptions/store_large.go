package subscriptions

import (
	"context"
	"errors"
)

// errLarge is the outcome of a request that must not share a transaction.
var errLarge = errors.New("the events are for many subscriptions")

// publishAlone publishes a request whose events may be for many subscriptions,
// in several transactions, between which others have theirs. Each event is in
// one with all of its deliveries. After an error, the first of them may have been
// published; they are duplicates if the request comes again.
func (s *Store) publishAlone(ctx context.Context, events []*publication) error {
	select {
	case s.batcher.alone <- struct{}{}:
		defer func() { <-s.batcher.alone }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for len(events) > 0 {
		found, err := fanOutOf(ctx, s.db, s.db.Dialect(), events, maxCandidates)
		if err == nil && !found.knows(events[0]) {
			found, err = fanOutOf(ctx, s.db, s.db.Dialect(), events[:1], noLimit)
		}
		if err != nil {
			return err
		}
		n := 0
		for n < len(events) && found.knows(events[n]) {
			n++
		}
		if err := s.commitInParts(ctx, found, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// commitInParts publishes events in transactions that insert no more deliveries
// than they may, if not of one event.
func (s *Store) commitInParts(ctx context.Context, found *fanOut, events []*publication) error {
	var part []*publication
	deliveries := 0
	for _, p := range events {
		if err := found.match(p); err != nil {
			return err
		}
		if deliveries += len(p.matching); deliveries > maxTogether {
			if err := s.commitPart(ctx, part); err != nil {
				return err
			}
			part, deliveries = nil, len(p.matching)
		}
		part = append(part, p)
	}
	return s.commitPart(ctx, part)
}

// commitPart commits some events of a request, unless its client is gone, and
// keeps no more of them than what came of it.
func (s *Store) commitPart(ctx context.Context, part []*publication) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
	defer cancel()
	err := s.commit(ctx, part)
	for _, p := range part {
		*p = publication{result: p.result}
	}
	return err
}
