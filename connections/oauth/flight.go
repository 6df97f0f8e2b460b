package oauth

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// How long the steps of a refresh may take. A lease is longer than the call and the
// first attempts to store. It is shorter than the 30 s for which some servers take
// a refresh token again, so that who follows a node that was killed comes in time,
// and than maxWait, so that callers need not come again.
const (
	flightTimeout = 90 * time.Second // with the wait for another node's
	leaseLength   = 20 * time.Second
	callTimeout   = 10 * time.Second
	storeTimeout  = 5 * time.Second
	saveTime      = 10 * time.Minute // for attempts to store a token

	minPause, maxPause  = time.Second, time.Minute
	firstPoll, lastPoll = 20 * time.Millisecond, 400 * time.Millisecond // who waits must see the shortest pause

	standsFor = 5 * time.Second // what a refresh has brought, for others who want one
	keptFor   = time.Minute     // after a pause, to know how often it has failed
)

// wish is what a refresh is for, beside a token that is fresh.
type wish struct {
	forced   bool
	rejected int64 // the version that the API refuses, or 0
}

// flight is one refresh of a connection, which all its callers in the process
// share. What is below done is set when that is closed.
type flight struct {
	wish
	failures int // in a row, before it

	done    chan struct{}
	record  Record
	renewed bool // the record is younger than the flight
	err     error
	until   time.Time // no other one begins for the same
}

func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// join returns the connection's flight, a new one if there is none that will do for
// a caller who has a version.
func (r *Refresher) join(id string, have int64, w wish) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.flights[id]
	if last != nil && (!last.ended() || last.standsIn(have, w, time.Now())) {
		return last, nil
	}
	switch {
	case r.closed:
		return nil, &Error{Kind: Transient, Reason: "the edge is going down", RetryAfter: time.Second}
	case last == nil && len(r.flights) >= maxFlights && !r.forgetEnded():
		return nil, &Error{Kind: Transient, Reason: "too many refreshes", RetryAfter: time.Second}
	}
	f := &flight{wish: w, done: make(chan struct{})}
	if last != nil && last.err != nil {
		f.failures = last.failures + 1
	}
	r.flights[id] = f
	r.running.Go(func() { r.run(id, f) })
	return f, nil
}

// forgetEnded makes room, or reports that all refreshes still run. Pauses after failures
// are in the store, too.
func (r *Refresher) forgetEnded() (room bool) {
	for id, f := range r.flights {
		if f.ended() {
			delete(r.flights, id)
		}
	}
	return len(r.flights) < maxFlights
}

// standsIn reports whether what the flight has brought will do for a caller.
func (f *flight) standsIn(have int64, w wish, now time.Time) bool {
	switch {
	case !now.Before(f.until):
		return false
	case f.err != nil, w.forced, w.rejected != 0:
		return f.err != nil || f.renewed
	}
	return f.record.Version > have && !f.record.Token.Expired(now)
}

func (r *Refresher) run(id string, f *flight) {
	ctx, cancel := context.WithTimeout(r.ctx, flightTimeout)
	defer cancel()
	f.record, f.renewed, f.err = r.refresh(ctx, id, f)
	now := time.Now()
	var e *Error
	switch {
	case f.err == nil && f.renewed:
		f.until = now.Add(standsFor)
	case errors.As(f.err, &e) && e.Kind != Reauth:
		if e.RetryAfter == 0 {
			e.RetryAfter = pauseAfter(e, f.failures)
		}
		f.until = now.Add(e.RetryAfter)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	close(f.done)
	if f.until.IsZero() {
		delete(r.flights, id)
		return
	}
	time.AfterFunc(f.until.Sub(now)+keptFor, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.flights[id] == f {
			delete(r.flights, id)
		}
	})
}

// refresh brings what the flight is for, and says whether it is younger than the
// flight. With an error comes the newest record that is known.
func (r *Refresher) refresh(ctx context.Context, id string, f *flight) (Record, bool, error) {
	rec, err := r.load(ctx, id)
	base := rec.Version
	for poll := firstPoll; err == nil; poll = min(poll*3/2, lastPoll) {
		now := time.Now()
		switch {
		case rec.Reauth != "":
			return rec, false, reauth(rec.Reauth)
		case !rec.Token.Expired(now) && f.granted(rec, base, r.fresh(id, rec, now)):
			return rec, rec.Version != base, nil
		case !rec.renews():
			return r.orphan(ctx, id, rec, now)
		}
		lease, leaseErr := r.store.Lease(ctx, id, rec.Version, r.owner, leaseLength)
		switch {
		case errors.Is(leaseErr, ErrMoved): // read it again
		case leaseErr != nil:
			return rec, false, storeError(leaseErr)
		case lease.Got:
			return r.renew(ctx, id, rec, f.failures)
		case lease.Paused:
			return rec, false, &Error{Kind: Transient, Reason: "the server is left alone after a failure", RetryAfter: max(lease.Wait, time.Second)}
		default:
			sleep(ctx, min(jittered(poll), max(lease.Wait, firstPoll)))
		}
		var again Record
		if again, err = r.load(ctx, id); err == nil {
			rec = again
		}
	}
	return rec, false, err
}

// granted reports whether a record that hasn't expired is what the flight is for.
func (f *flight) granted(rec Record, base int64, fresh bool) bool {
	switch {
	case f.forced:
		return rec.Version != base
	case f.rejected != 0:
		return rec.Version != f.rejected
	}
	return fresh || rec.Version != base
}

// renew gets a token from the server, for who has the lease.
func (r *Refresher) renew(ctx context.Context, id string, rec Record, failures int) (Record, bool, error) {
	obtained := time.Now()
	call, cancel := context.WithTimeout(ctx, callTimeout)
	t, err := rec.Source.Renew(call, rec.Token)
	cancel()
	if err == nil {
		return r.save(id, rec, Record{Version: rec.Version + 1, Token: t, Obtained: obtained, Source: rec.Source})
	}
	e := &Error{Kind: Transient, Reason: "the token's source failed"}
	_ = errors.As(err, &e)
	failure := *e // it is the flight's own from here on
	if failure.Kind == Reauth {
		return r.revoked(ctx, id, rec, &failure)
	}
	failure.RetryAfter = pauseAfter(e, failures)
	// without the pause, the lease ends later, which does for one, too
	pause, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_ = r.store.Pause(pause, id, rec.Version, r.owner, failure.RetryAfter)
	return rec, false, &failure
}

// save stores a token, however often that fails: it may be the only way to the
// next one. Until then nobody gets it. There is one attempt even if the Refresher
// is closed.
func (r *Refresher) save(id string, old, next Record) (Record, bool, error) {
	for began, pause := time.Now(), firstPoll; ; pause = min(pause*2, lastPoll) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), storeTimeout)
		err := r.store.Save(ctx, id, old.Version, next.Token, next.Obtained)
		cancel()
		if err == nil {
			return next, true, nil
		}
		if errors.Is(err, ErrNotFound) {
			return Record{}, false, ErrNotFound
		}
		if errors.Is(err, ErrMoved) { // by another node or the user, or by an attempt that seemed to fail
			rec, err := r.load(r.ctx, id)
			if err == nil && rec.Reauth != "" {
				err = reauth(rec.Reauth)
			}
			return rec, err == nil, err
		}
		if time.Since(began) > saveTime || r.ctx.Err() != nil {
			return old, false, &Error{Kind: Transient, Reason: "the new token cannot be stored"}
		}
		sleep(r.ctx, jittered(pause))
	}
}

// revoked ends a connection whose refresh token the server doesn't know, unless
// another node has got a token since: it was that one's refresh token.
func (r *Refresher) revoked(ctx context.Context, id string, rec Record, cause *Error) (Record, bool, error) {
	reason := cause.Code
	if reason == "" {
		reason = "invalid_grant"
	}
	for range 3 {
		now, err := r.load(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound):
			return Record{}, false, err
		case err == nil && now.Version != rec.Version:
			if now.Reauth != "" {
				return now, false, reauth(now.Reauth)
			}
			return now, true, nil
		case err == nil:
			err = r.store.MarkReauth(ctx, id, rec.Version, reason)
			if err == nil {
				rec.Reauth = reason
				return rec, false, cause
			}
		}
		sleep(ctx, firstPoll)
	}
	rec.Reauth = reason // for this node, until it reads the record again
	return rec, false, cause
}

// orphan is for a token that can't be renewed: once it has expired, there is
// nothing left of the connection.
func (r *Refresher) orphan(ctx context.Context, id string, rec Record, now time.Time) (Record, bool, error) {
	cause := &Error{Kind: Reauth, Reason: "there is no refresh token"}
	if rec.Token.Expired(now) {
		return r.revoked(ctx, id, rec, &Error{Kind: Reauth, Code: "no_refresh_token", Reason: cause.Reason})
	}
	return rec, false, cause
}

func (r *Refresher) load(ctx context.Context, id string) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rec, err := r.store.Load(ctx, id)
	if err != nil {
		return Record{}, storeError(err)
	}
	return rec, nil
}

// storeError hides the text of a store's error, which is for its own log.
func storeError(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrNotFound
	}
	return &Error{Kind: Transient, Reason: "the store failed"}
}

// pauseAfter returns how long to leave a server alone.
func pauseAfter(e *Error, failures int) time.Duration {
	pause := maxPause
	if e.Kind != Misconfigured && failures < 6 {
		pause = min(minPause<<failures, maxPause)
	}
	return max(e.RetryAfter, jittered(pause))
}

func jittered(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) } //nolint:gosec // it is no secret

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
