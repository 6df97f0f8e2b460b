package oauth

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

func TestRefreshAt(t *testing.T) {
	for _, tc := range []struct {
		lifetime time.Duration
		chance   float64
		want     time.Duration // before the end
	}{
		{time.Hour, 0, 6 * time.Minute},
		{time.Hour, 0.5, 6*time.Minute + 36*time.Second},
		{5 * time.Minute, 0, time.Minute},
		{10 * time.Minute, 1, 72 * time.Second},
		{90 * time.Second, 0, 45 * time.Second},
		{10 * time.Second, 1, 5 * time.Second},
		{0, 0, 0},
		{-time.Second, 0, 0},
		{30 * 24 * time.Hour, 0, 3 * 24 * time.Hour},
	} {
		if got := RefreshAt(credential.Token{Expires: sent.Add(tc.lifetime)}, sent, tc.chance); got != sent.Add(tc.lifetime-tc.want) {
			t.Errorf("%+v: %s", tc, got)
		}
	}
	if got := RefreshAt(credential.Token{Expires: sent}, time.Time{}, 0); got != sent.Add(-time.Minute) {
		t.Error(got)
	}
	if got := RefreshAt(credential.Token{}, sent, 0); !got.IsZero() {
		t.Error(got)
	}
}

// What is watched is refreshed for a day, on two nodes, without a caller: once
// for each lifetime, and nothing is looked at in between.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, node := range nodes {
			if !node.Watch(id, m.present()) {
				t.Fatal("it is not watched")
			}
			running.Go(func() { node.Run(ctx) })
		}
		for range 24 * 60 {
			time.Sleep(time.Minute)
			if m.present().Token.Expired(time.Now()) {
				t.Fatal("it has expired")
			}
		}
		if n := s.count(); n < 24 || n > 27 || m.count("Load") > 6*n {
			t.Errorf("%d calls, read %d times", n, m.count("Load"))
		}
		// it ends with the grant
		s.mu.Lock()
		s.revoked = true
		s.mu.Unlock()
		time.Sleep(time.Hour)
		if m.present().Reauth == "" {
			t.Error("it is not revoked")
		}
		calls := m.count("Load")
		if time.Sleep(24 * time.Hour); m.count("Load") != calls {
			t.Error("it is watched for ever")
		}
		cancel()
		running.Wait()
	})
}

func TestRunRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, nodes := newWorld(t, 1)
		s.fails = func(call int) error {
			if call < 4 {
				return &Error{Kind: Transient, Status: 502}
			}
			return nil
		}
		nodes[0].Watch(id, m.present())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go nodes[0].Run(ctx)
		if time.Sleep(59 * time.Minute); m.present().Version != 2 || s.count() != 4 {
			t.Error(s.count())
		}
		nodes[0].Unwatch(id)
		if time.Sleep(2 * time.Hour); s.count() != 4 {
			t.Error(s.count())
		}
	})
}

// The order of what is due is that of time, whatever is changed in between.
func TestPlan(t *testing.T) {
	s, _, nodes := newWorld(t, 1)
	r := nodes[0]
	rec := func(d time.Duration) Record {
		return Record{Version: 1, Token: credential.Token{Refresh: credential.SecretOf("r"), Expires: sent.Add(time.Hour + d)}, Obtained: sent.Add(d), Source: s}
	}
	for range 3 {
		for i := range 300 {
			r.Watch(fmt.Sprint(i), rec(rand.N(1000*time.Hour)))
		}
		for i := range 100 {
			r.Unwatch(fmt.Sprint(rand.IntN(300) + i))
		}
	}
	left := len(r.plan.watches)
	var last time.Time
	for range left {
		next := r.plan.heap[0].at
		id, _ := r.next(sent.Add(2000 * time.Hour))
		if id == "" || next.Before(last) {
			t.Fatalf("%q at %s after %s", id, next, last)
		}
		last = next
	}
	if id, wait := r.next(sent); id != "" || wait < time.Hour || left < 50 {
		t.Error(id, wait, left)
	}
	// what has no end, or nothing to be renewed with, is not watched
	for _, bad := range []Record{{}, {Version: 1, Source: s}, {Version: 1, Source: s, Token: credential.Token{Expires: sent}}} {
		if r.Watch("x", bad) || r.plan.watches["x"] != nil {
			t.Errorf("%+v", bad)
		}
	}
}
