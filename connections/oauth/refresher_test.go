package oauth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// S36: at expiry, and when all force, the server is asked once.
func TestOneCall(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Refresher, Record) (Record, error){
		"expired": func(ctx context.Context, r *Refresher, have Record) (Record, error) { return r.Token(ctx, id, have) },
		"unknown": func(ctx context.Context, r *Refresher, _ Record) (Record, error) { return r.Token(ctx, id, Record{}) },
		"force":   func(ctx context.Context, r *Refresher, _ Record) (Record, error) { return r.Force(ctx, id) },
		"replace": func(ctx context.Context, r *Refresher, have Record) (Record, error) {
			return r.Replace(ctx, id, have.Version)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m, nodes := newWorld(t, 3)
				have := m.present()
				if name == "expired" || name == "unknown" {
					time.Sleep(time.Hour)
				}
				var all sync.WaitGroup
				for i := range 200 {
					all.Go(func() {
						rec, err := call(t.Context(), nodes[i%3], have)
						if err != nil || rec.Version != 2 || rec.Token.Access.Reveal() != "access-2" || rec.Token.Expired(time.Now()) {
							t.Errorf("%+v %v", rec, err)
						}
					})
				}
				all.Wait()
				if s.count() != 1 || m.present().Version != 2 {
					t.Errorf("%d calls", s.count())
				}
			})
		})
	}
}

// A token that is fresh costs nothing; one that soon expires is refreshed while
// it is used.
func TestAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 1)
		have := m.present()
		if n := testing.AllocsPerRun(100, func() {
			if rec, err := nodes[0].Token(t.Context(), id, have); err != nil || rec.Version != 1 {
				t.Error(rec, err)
			}
		}); n != 0 || len(m.calls) != 0 {
			t.Errorf("%v allocations, %v", n, m.calls)
		}
		time.Sleep(55 * time.Minute)
		if rec, err := nodes[0].Token(t.Context(), id, have); err != nil || rec.Version != 1 {
			t.Error(rec, err)
		}
		time.Sleep(time.Second)
		if s.count() != 1 || m.present().Version != 2 {
			t.Error(s.count())
		}
		// who has the old one gets the new one without a refresh
		if rec, err := nodes[0].Token(t.Context(), id, have); err != nil || rec.Version != 2 {
			t.Error(rec, err)
		}
		if time.Sleep(time.Minute); s.count() != 1 {
			t.Error(s.count())
		}
	})
}

// A refresh goes on when all its callers have gone.
func TestCallersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 1)
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := nodes[0].Token(ctx, id, m.present()); kindOf(err) != Transient || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if time.Sleep(time.Second); m.present().Version != 2 || s.count() != 1 {
			t.Error(s.count())
		}
	})
}

// Forced calls one after another don't each refresh; one that is younger than the
// last refresh does.
func TestForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 1)
		for range 50 {
			if rec, err := nodes[0].Force(t.Context(), id); err != nil || rec.Version != 2 {
				t.Fatal(rec, err)
			}
		}
		// the API refuses each new token: another one is no better
		if rec, err := nodes[0].Replace(t.Context(), id, 2); err != nil || rec.Version != 2 || s.count() != 1 {
			t.Error(rec, err, s.count())
		}
		time.Sleep(standsFor)
		if rec, err := nodes[0].Replace(t.Context(), id, 1); err != nil || rec.Version != 2 || s.count() != 1 {
			t.Error(rec, err, s.count())
		}
		if rec, err := nodes[0].Force(t.Context(), id); err != nil || rec.Version != 3 || s.count() != 2 {
			t.Error(rec, err, s.count())
		}
		nodes[0].Forget(id)
		if rec, err := nodes[0].Force(t.Context(), id); err != nil || rec.Version != 4 {
			t.Error(rec, err)
		}
		// one that was running for another reason, and finds nothing to do
		nodes[0].Forget(id)
		m.delay = time.Second
		go func() { _, _ = nodes[0].Token(t.Context(), id, Record{}) }()
		synctest.Wait()
		if rec, err := nodes[0].Force(t.Context(), id); err != nil || rec.Version != 5 {
			t.Error(rec, err)
		}
	})
}

// Close waits for a token that is on its way.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 1)
		s.delay = 5 * time.Second
		time.Sleep(55 * time.Minute)
		if _, err := nodes[0].Token(t.Context(), id, m.present()); err != nil {
			t.Error(err)
		}
		nodes[0].Close(t.Context())
		if m.present().Version != 2 {
			t.Error("the token is lost")
		}
		nodes[0].Forget(id)
		if _, err := nodes[0].Force(t.Context(), id); kindOf(err) != Transient || s.count() != 1 {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // but not for ever
		s, m, nodes := newWorld(t, 1)
		s.delay = 9 * time.Second
		time.Sleep(55 * time.Minute)
		_, _ = nodes[0].Token(t.Context(), id, m.present())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if nodes[0].Close(ctx); time.Since(began) > 2*time.Second {
			t.Error(time.Since(began))
		}
	})
}

// When the process has no more time, a token that has come is stored once.
func TestCloseStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m, nodes := newWorld(t, 1)
		var away atomic.Bool
		m.fails = func(method string) error {
			if method == "Save" && away.Load() {
				return errors.New("no store")
			}
			return nil
		}
		away.Store(true)
		go func() { _, _ = nodes[0].Force(t.Context(), id) }()
		time.Sleep(10 * time.Second)
		away.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		nodes[0].Close(ctx)
		if m.present().Version != 2 {
			t.Error("the token is lost")
		}
	})
}
