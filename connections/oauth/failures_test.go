package oauth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// The holder of a lease that ends without a word is followed by another node.
func TestCrash(t *testing.T) {
	for _, tc := range []struct {
		answered, grace bool // before the crash; a second use of the token is allowed
		want            Kind
	}{
		{false, false, 0},
		{true, true, 0},
		{true, false, Reauth},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, m, nodes := newWorld(t, 1)
			s.grace = tc.grace
			time.Sleep(time.Hour)
			if lease, err := m.Lease(t.Context(), id, 1, "crashed", leaseLength); err != nil || !lease.Got {
				t.Fatal(lease, err)
			}
			if tc.answered {
				s.mu.Lock()
				s.next()
				s.mu.Unlock()
			}
			have := m.present()
			began := time.Now()
			rec, err := nodes[0].Token(t.Context(), id, have) // who waits need not come again
			if kindOf(err) != tc.want || (err == nil) != (rec.Version == 2) || s.count() != 1 {
				t.Errorf("%+v: %+v %v, %d calls", tc, rec, err, s.count())
			}
			waited := time.Since(began)
			if waited < leaseLength || waited > 25*time.Second { // the shortest leeway that is common is 30 s
				t.Error(waited)
			}
		})
	}
}

// invalid_grant is final if nobody was first, at once and for all nodes; the
// version says who was.
func TestInvalidGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 2)
		have := m.present()
		s.revoked = true
		time.Sleep(55 * time.Minute)
		if rec, err := nodes[0].Token(t.Context(), id, have); err != nil || rec.Version != 1 {
			t.Error(rec, err)
		}
		time.Sleep(time.Second)
		if m.present().Reauth != "invalid_grant" {
			t.Error(m.present())
		}
		for _, call := range []func() (Record, error){
			func() (Record, error) { return nodes[0].Token(t.Context(), id, m.present()) },
			func() (Record, error) { return nodes[1].Token(t.Context(), id, Record{}) },
			func() (Record, error) { return nodes[1].Force(t.Context(), id) },
		} {
			if _, err := call(); kindOf(err) != Reauth {
				t.Error(err)
			}
		}
		if s.count() != 1 {
			t.Error(s.count())
		}
		// the user connects again
		s.revoked = false
		if err := m.Save(t.Context(), id, 1, s.next(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if rec, err := nodes[1].Force(t.Context(), id); err != nil || rec.Version != 3 {
			t.Error(rec, err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // another node is first, without the lease
		s, m, nodes := newWorld(t, 1)
		s.delay = time.Second
		time.Sleep(time.Hour)
		go func() {
			time.Sleep(500 * time.Millisecond)
			s.mu.Lock()
			other := s.next()
			s.mu.Unlock()
			_ = m.Save(t.Context(), id, 1, other, time.Now())
		}()
		if rec, err := nodes[0].Token(t.Context(), id, m.present()); err != nil || rec.Version != 2 || rec.Token.Access.Reveal() != "access-2" {
			t.Error(rec, err)
		}
		if m.present().Reauth != "" {
			t.Error("the other's token is given up")
		}
	})
	synctest.Test(t, func(t *testing.T) { // nothing to refresh with
		s, m, nodes := newWorld(t, 1)
		m.row.Token.Refresh = credential.Secret{}
		have := m.present()
		time.Sleep(59*time.Minute + 59*time.Second)
		if rec, err := nodes[0].Token(t.Context(), id, have); err != nil || rec.Version != 1 {
			t.Error(rec, err)
		}
		if _, err := nodes[0].Force(t.Context(), id); kindOf(err) != Reauth || m.present().Reauth != "" {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if _, err := nodes[0].Token(t.Context(), id, have); kindOf(err) != Reauth || m.present().Reauth != "no_refresh_token" || s.count() != 0 {
			t.Error(err)
		}
	})
}

// S38: while the server is away, the present token is used until it ends, and not
// longer; all nodes leave the server alone.
func TestTransient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 3)
		have := m.present()
		s.fails = func(int) error { return &Error{Kind: Transient, Status: 503, RetryAfter: 10 * time.Minute} }
		time.Sleep(55 * time.Minute)
		for range 200 {
			for _, node := range nodes {
				if rec, err := node.Token(t.Context(), id, have); err != nil || rec.Version != 1 {
					t.Fatal(rec, err)
				}
			}
			time.Sleep(time.Second)
		}
		if s.count() != 1 {
			t.Errorf("%d calls", s.count())
		}
		time.Sleep(2 * time.Minute)
		var e *Error
		for _, node := range nodes {
			if _, err := node.Token(t.Context(), id, have); !errors.As(err, &e) || e.Kind != Transient || e.RetryAfter < time.Minute || e.RetryAfter > 10*time.Minute {
				t.Error(err)
			}
		}
		if _, err := nodes[0].Force(t.Context(), id); kindOf(err) != Transient || s.count() != 1 {
			t.Error(err)
		}
		s.fails = nil
		time.Sleep(10 * time.Minute)
		if rec, err := nodes[1].Token(t.Context(), id, have); err != nil || rec.Version != 2 || s.count() != 2 {
			t.Error(rec, err, s.count())
		}
	})
}

// Without Retry-After, the pauses grow to a minute.
func TestBackoff(t *testing.T) {
	for kind, want := range map[Kind][2]int{Transient: {70, 130}, Broken: {70, 130}, Misconfigured: {45, 85}} {
		synctest.Test(t, func(t *testing.T) {
			s, m, nodes := newWorld(t, 1)
			s.delay = 0
			s.fails = func(int) error { return &Error{Kind: kind} }
			time.Sleep(time.Hour)
			for range 3600 {
				if _, err := nodes[0].Token(t.Context(), id, m.present()); kindOf(err) != kind && kindOf(err) != Transient {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			if n := s.count(); n < want[0]-20 || n > want[1] {
				t.Errorf("%s: %d calls in an hour", kind, n)
			}
			if m.present().Reauth != "" {
				t.Error("the user must connect again for nothing")
			}
		})
	}
}

// S37: a token that can't be stored is not used, and the old refresh token isn't
// sent again; it is stored when the store is back.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 1)
		var away atomic.Bool
		away.Store(true)
		m.fails = func(method string) error {
			if method == "Save" && away.Load() {
				return errors.New("no store at 10.0.0.1")
			}
			return nil
		}
		time.Sleep(time.Hour)
		have := m.present()
		for range 5 {
			if _, err := nodes[0].Token(t.Context(), id, have); kindOf(err) != Transient {
				t.Error(err)
			}
		}
		away.Store(false)
		if rec, err := nodes[0].Token(t.Context(), id, have); err != nil || rec.Version != 2 || s.count() != 1 {
			t.Error(rec, err, s.count())
		}
	})
	synctest.Test(t, func(t *testing.T) { // stored, but nobody heard of it
		s, m, nodes := newWorld(t, 1)
		m.fails = func(method string) error {
			if method == "Save" && m.calls["Save"] == 1 {
				m.row = &row{Record: Record{Version: 2, Token: credential.Token{Access: credential.SecretOf("access-2"), Expires: time.Now().Add(time.Hour)}, Source: s}}
				return context.DeadlineExceeded
			}
			return nil
		}
		time.Sleep(time.Hour)
		if rec, err := nodes[0].Token(t.Context(), id, m.present()); err != nil || rec.Version != 2 || m.calls["Save"] != 2 {
			t.Error(rec, err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the user has connected in the meantime, and revoked it again
		_, m, nodes := newWorld(t, 1)
		m.fails = func(method string) error {
			if method == "Save" {
				m.row.Version, m.row.Reauth = 2, "invalid_grant"
				return ErrMoved
			}
			return nil
		}
		time.Sleep(time.Hour)
		if rec, err := nodes[0].Force(t.Context(), id); kindOf(err) != Reauth {
			t.Error(rec, err)
		}
	})
	for _, method := range []string{"Load", "Lease", "Pause", "MarkReauth"} {
		synctest.Test(t, func(t *testing.T) {
			s, m, nodes := newWorld(t, 1)
			have := m.present()
			if s.delay = 0; method == "Pause" {
				s.fails = func(int) error { return &Error{Kind: Transient} }
			}
			s.revoked = method == "MarkReauth"
			m.fails = func(called string) error {
				if called == method {
					return errors.New("no store")
				}
				return nil
			}
			time.Sleep(time.Hour)
			if _, err := nodes[0].Token(t.Context(), id, have); err == nil || kindOf(err) == 0 {
				t.Error(method, err)
			}
			m.fails, s.fails, s.revoked = nil, nil, false
			time.Sleep(2 * time.Minute)
			if rec, err := nodes[0].Token(t.Context(), id, have); err != nil || rec.Version != 2 {
				t.Error(method, rec, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // deleted
		_, m, nodes := newWorld(t, 1)
		have := m.present()
		time.Sleep(time.Hour)
		m.row = nil
		if _, err := nodes[0].Token(t.Context(), id, have); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

// A server that hangs costs its deadline, and a pause.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 2)
		s.delay = time.Hour
		time.Sleep(time.Hour)
		began := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if _, err := nodes[i%2].Token(t.Context(), id, m.present()); kindOf(err) != Transient {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if waited := time.Since(began); s.count() != 1 || waited < callTimeout || waited > callTimeout+2*time.Second {
			t.Error(s.count(), waited)
		}
	})
}
