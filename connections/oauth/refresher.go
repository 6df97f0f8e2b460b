package oauth

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

const (
	// minMargin is how long before its end a token is refreshed, at least; a tenth of
	// its lifetime if that is more, but never in its first half.
	minMargin = time.Minute

	maxWait    = 30 * time.Second // of a caller for a token
	maxFlights = 10_000           // refreshes that run, or ended a moment ago and are remembered
)

// Refresher keeps the tokens of connections fresh. It can be used by several
// goroutines, and there is one in each process.
type Refresher struct {
	store Store
	owner string // of leases
	seed  maphash.Seed

	ctx    context.Context // of all refreshes
	cancel context.CancelFunc

	mu      sync.Mutex
	flights map[string]*flight // by connection
	running sync.WaitGroup
	closed  bool
}

// NewRefresher returns one for the records of a store.
func NewRefresher(store Store) *Refresher {
	r := &Refresher{
		store: store, owner: random(), seed: maphash.MakeSeed(),
		flights: make(map[string]*flight),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// RefreshAt returns when a token that was asked for at a time is to be refreshed,
// or the zero time, if its end is not known: never. The chance, from 0 to 1, makes it earlier, so that
// tokens that were got together are not refreshed together.
func RefreshAt(t credential.Token, obtained time.Time, chance float64) time.Time {
	if t.Expires.IsZero() {
		return time.Time{}
	}
	margin, lifetime := minMargin, t.Expires.Sub(obtained)
	if obtained.IsZero() {
		lifetime = 2 * minMargin
	}
	margin = max(margin, lifetime/10)
	margin += time.Duration(chance * float64(margin) / 5)
	return t.Expires.Add(-max(min(margin, lifetime/2), 0))
}

func (r *Refresher) refreshAt(id string, rec Record) time.Time {
	if !rec.renews() {
		return time.Time{}
	}
	const bits = 1 << 16
	chance := float64(maphash.Comparable(r.seed, lot{id, rec.Version})%bits) / bits
	return RefreshAt(rec.Token, rec.Obtained, chance)
}

// lot is what says how much earlier than others a token is refreshed.
type lot struct {
	id      string
	version int64
}

// fresh reports whether there is nothing to do about a record.
func (r *Refresher) fresh(id string, rec Record, now time.Time) bool {
	at := r.refreshAt(id, rec)
	return !rec.Token.Expired(now) && (at.IsZero() || now.Before(at))
}

// Token returns a record whose token can be sent now. Have is what the caller
// has; the zero value is nothing. If that is fresh, it costs no lock and no I/O. If
// it is soon to expire, it is returned and refreshed in the background. Else the
// caller waits, as long as its context lets it, for 30 s at most.
func (r *Refresher) Token(ctx context.Context, id string, have Record) (Record, error) {
	now := time.Now()
	switch {
	case have.Reauth != "":
		return Record{}, reauth(have.Reauth)
	case have.Version != 0 && r.fresh(id, have, now):
		return have, nil
	}
	f, err := r.join(id, have.Version, wish{})
	if have.Version != 0 && !have.Token.Expired(now) {
		if err == nil && f.ended() && f.record.Version > have.Version && f.record.Reauth == "" && !f.record.Token.Expired(now) {
			return f.record, nil
		}
		return have, nil
	}
	if err != nil {
		return Record{}, err
	}
	return r.wait(ctx, f, true)
}

// Force returns a record whose token was got after the call, whatever the present
// one is. Calls at the same time share one refresh, and one that ended less than
// 5 s ago stands in for it.
func (r *Refresher) Force(ctx context.Context, id string) (Record, error) {
	return r.insist(ctx, id, wish{forced: true})
}

// Replace returns a record with another token than the one of a version, which
// the API has refused. If that is younger than 5 s, another one would be no
// better, and the record is the same: what it was refused for is not to be tried
// again.
func (r *Refresher) Replace(ctx context.Context, id string, version int64) (Record, error) {
	return r.insist(ctx, id, wish{rejected: version})
}

// Reject is Replace for those who ask later: nobody waits.
func (r *Refresher) Reject(id string, version int64) { _, _ = r.join(id, 0, wish{rejected: version}) }

// insist joins refreshes until one has brought what is wished for: the first one
// may have begun for another reason.
func (r *Refresher) insist(ctx context.Context, id string, w wish) (Record, error) {
	for range 3 {
		f, err := r.join(id, 0, w)
		if err != nil {
			return Record{}, err
		}
		rec, err := r.wait(ctx, f, false)
		if err != nil || f.renewed || w.rejected != 0 && rec.Version != w.rejected {
			return rec, err
		}
	}
	return Record{}, &Error{Kind: Transient, Reason: "there was no refresh", RetryAfter: time.Second}
}

// wait waits for a refresh. If it has failed, a token that is still valid may do.
func (r *Refresher) wait(ctx context.Context, f *flight, anyValid bool) (Record, error) {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-ctx.Done():
		return Record{}, &Error{Kind: Transient, Reason: "the caller did not wait for the refresh", cause: ctx.Err()}
	case <-timer.C:
		return Record{}, &Error{Kind: Transient, Reason: "the refresh takes long", RetryAfter: time.Second}
	}
	now := time.Now()
	rec := f.record
	if (f.err == nil || anyValid && rec.Version != 0 && rec.Reauth == "") && !rec.Token.Expired(now) {
		return rec, nil
	}
	if f.err == nil {
		return Record{}, &Error{Kind: Transient, Reason: "the token has expired", RetryAfter: time.Second}
	}
	var e *Error
	if errors.As(f.err, &e) && e.Kind != Reauth {
		left := *e
		left.RetryAfter = max(f.until.Sub(now), time.Second)
		return Record{}, &left
	}
	return Record{}, f.err
}

// Forget is for a connection that was changed by somebody else than a refresh,
// such as its user: what is known of its last refresh is not of use any more.
func (r *Refresher) Forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[id]; f != nil && f.ended() {
		delete(r.flights, id)
	}
}

// Close lets no refresh begin any more, and waits for those that run, so that no
// token is lost that a server has sent. If the context ends before, they are
// ended.
func (r *Refresher) Close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	defer context.AfterFunc(ctx, r.cancel)()
	r.running.Wait()
	r.cancel()
}

func reauth(reason string) *Error {
	return &Error{Kind: Reauth, Code: reason, Reason: "the user must connect again"}
}
