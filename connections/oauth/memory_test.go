package oauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

const id = "connection"

// memory is a Store of several nodes.
type memory struct {
	delay time.Duration

	mu    sync.Mutex
	row   *row
	fails func(method string) error // or nil
	calls map[string]int
}

type row struct {
	Record
	owner  string
	until  time.Time
	paused bool
}

func (m *memory) begin(method string) (done func(), err error) {
	time.Sleep(m.delay)
	m.mu.Lock()
	if m.calls == nil {
		m.calls = make(map[string]int)
	}
	m.calls[method]++
	if m.fails != nil {
		err = m.fails(method)
	}
	if m.row == nil && err == nil {
		err = ErrNotFound
	}
	return m.mu.Unlock, err
}

func (m *memory) Load(_ context.Context, _ string) (Record, error) {
	done, err := m.begin("Load")
	defer done()
	if err != nil {
		return Record{}, err
	}
	return m.row.Record, nil
}

func (m *memory) Lease(_ context.Context, _ string, version int64, owner string, length time.Duration) (Lease, error) {
	done, err := m.begin("Lease")
	defer done()
	switch {
	case err != nil:
		return Lease{}, err
	case m.row.Version != version:
		return Lease{}, ErrMoved
	case time.Now().Before(m.row.until) && (m.row.paused || m.row.owner != owner):
		return Lease{Wait: time.Until(m.row.until), Paused: m.row.paused}, nil
	}
	m.row.owner, m.row.until, m.row.paused = owner, time.Now().Add(length), false
	return Lease{Got: true}, nil
}

func (m *memory) Save(_ context.Context, _ string, version int64, t credential.Token, obtained time.Time) error {
	done, err := m.begin("Save")
	defer done()
	switch {
	case err != nil:
		return err
	case m.row.Version != version:
		return ErrMoved
	}
	m.row = &row{Record: Record{Version: version + 1, Token: t, Obtained: obtained, Source: m.row.Source}}
	return nil
}

func (m *memory) MarkReauth(_ context.Context, _ string, version int64, reason string) error {
	done, err := m.begin("MarkReauth")
	defer done()
	switch {
	case err != nil:
		return err
	case m.row.Version != version:
		return ErrMoved
	}
	m.row.Reauth, m.row.until = reason, time.Time{}
	return nil
}

func (m *memory) Pause(_ context.Context, _ string, version int64, owner string, length time.Duration) error {
	done, err := m.begin("Pause")
	defer done()
	if err == nil && m.row.Version == version && m.row.owner == owner {
		m.row.until, m.row.paused = time.Now().Add(length), true
	}
	return err
}

func (m *memory) present() Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.row.Record
}

// server is an authorization server that takes a second use of a refresh token
// for theft.
type server struct {
	lifetime, delay time.Duration
	grace           bool // it allows one

	mu      sync.Mutex
	calls   int
	last    int // number of the refresh token
	revoked bool
	fails   func(call int) error // or nil
}

func (s *server) Renews(old credential.Token) bool { return !old.Refresh.IsZero() }

func (s *server) Renew(ctx context.Context, old credential.Token) (credential.Token, error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.mu.Unlock()
	if sleep(ctx, s.delay); ctx.Err() != nil {
		return credential.Token{}, &Error{Kind: Transient, cause: ctx.Err()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		if err := s.fails(call); err != nil {
			return credential.Token{}, err
		}
	}
	if old.Refresh.Reveal() != refreshToken(s.last) && (!s.grace || old.Refresh.Reveal() != refreshToken(s.last-1)) {
		s.revoked = true
	}
	if s.revoked {
		return credential.Token{}, &Error{Kind: Reauth, Code: "invalid_grant", Status: 400}
	}
	return s.next(), nil
}

func (s *server) next() credential.Token {
	s.last++
	return credential.Token{
		Access: credential.SecretOf(fmt.Sprintf("access-%d", s.last)), Refresh: credential.SecretOf(refreshToken(s.last)), Expires: time.Now().Add(s.lifetime),
	}
}

func refreshToken(n int) string { return fmt.Sprintf("refresh-%d", n) }

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// newWorld returns a server, a store with a token of it, and nodes that share it.
func newWorld(t *testing.T, nodes int) (*server, *memory, []*Refresher) {
	s := &server{lifetime: time.Hour, delay: 200 * time.Millisecond}
	m := &memory{delay: time.Millisecond, row: &row{Record: Record{Version: 1, Token: s.next(), Obtained: time.Now(), Source: s}}}
	all := make([]*Refresher, nodes)
	for i := range all {
		all[i] = NewRefresher(m)
		t.Cleanup(func() { all[i].Close(context.Background()) })
	}
	return s, m, all
}

// kindOf returns the kind of an error, or 0.
func kindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}
