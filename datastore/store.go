package datastore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
)

// firstAttempt is how long Start waits, so that a server which is there is
// there at once.
var firstAttempt = 2 * time.Second

const (
	pingTimeout  = 10 * time.Second
	drainTimeout = 10 * time.Second // of calls under way when a database is closed
)

// backoff is how long to wait after failures to reach a server.
var backoff = struct{ first, last time.Duration }{time.Second, 30 * time.Second}

// engine is one kind of database.
type engine interface {
	dialect() Dialect
	open(ctx context.Context) error
	reader() *sql.DB
	query(ctx context.Context, query string, args ...any) (*sql.Rows, error) // on a reader
	write(ctx context.Context, f func(context.Context, *Tx) error) error
	away(err error) bool
	scrub(err error) error
	close(patience time.Duration)
}

// stores are the databases in use. They outlive the configs that use them, and
// so the calls of old configs that are still under way at a reload.
var stores = caddy.NewUsagePool()

// store is a database that configs share. Nothing is opened or made before the
// first start.
type store struct {
	engine
	logger atomic.Pointer[zap.Logger] // of the config that was started last
	status atomic.Pointer[error]      // why it cannot be used, or a nil error

	mu      sync.Mutex // over start and Destruct
	started bool
	stop    context.CancelFunc
	running sync.WaitGroup

	attempted chan struct{} // closed after the first attempt to reach the server
	usable    chan struct{} // closed when it can be used for the first time
	lost      chan struct{} // a call found the server away
	atOnce    sync.Once     // over closing attempted
	opened    sync.Once     // over closing usable

	checked  sync.Map                // fingerprints of rings that have all keys
	fileRing atomic.Pointer[KeyRing] // of the key file
	ring     atomic.Pointer[KeyRing] // of the config that was started last
	last     atomic.Pointer[DB]      // of that config
}

func newStore(e engine) *store {
	s := &store{
		engine: e, attempted: make(chan struct{}), usable: make(chan struct{}), lost: make(chan struct{}, 1),
	}
	s.logger.Store(zap.NewNop())
	s.set(errNotStarted)
	return s
}

func (s *store) log() *zap.Logger { return s.logger.Load() }

func (s *store) set(err error) {
	if err == nil {
		s.opened.Do(func() { close(s.usable) })
	}
	s.status.Store(&err)
}

// ready returns why the database cannot be used.
func (s *store) ready() error { return *s.status.Load() }

// start opens a file, or begins to reach a server. Every config that uses the
// database calls it.
func (s *store) start(ctx context.Context, logger *zap.Logger) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logger.Store(logger)
	if s.started {
		return nil
	}
	if s.dialect() == SQLite {
		if err := s.open(ctx); err != nil {
			s.set(err)
			return err
		}
		s.started = true
		s.set(nil)
		return nil
	}
	s.started = true
	s.set(errConnecting)
	ctx, s.stop = context.WithCancel(context.Background())
	s.running.Go(func() { s.keepOpen(ctx) })
	select {
	case <-s.attempted:
	case <-time.After(firstAttempt):
	}
	return nil
}

// keepOpen reaches the server, again each time that a call finds it away.
func (s *store) keepOpen(ctx context.Context) {
	for s.reach(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-s.lost:
		}
	}
}

func (s *store) reach(ctx context.Context) bool {
	for wait := backoff.first; ; wait = min(2*wait, backoff.last) {
		err := s.scrub(s.attempt(ctx))
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			if s.ready() != nil {
				s.log().Info("the database is ready", zap.String("driver", string(s.dialect())))
			}
		} else {
			report := s.log().Warn
			if refused(err) {
				wait, report = backoff.last, s.log().Error
			}
			report("the database cannot be used; trying again", zap.Error(err), zap.Duration("after", wait))
		}
		s.set(err)
		s.atOnce.Do(func() { close(s.attempted) })
		if err == nil {
			select { // what calls found before is of the past
			case <-s.lost:
			default:
			}
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// attempt may take long only where it migrates.
func (s *store) attempt(ctx context.Context) error {
	pinging, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := s.reader().PingContext(pinging); err != nil {
		return err
	}
	return s.open(ctx)
}

// outcome is what the caller of a statement or a transaction gets to see of an
// error.
func (s *store) outcome(err error) error {
	if err == nil {
		return nil
	}
	if closedError(err) {
		return notReady{errClosed}
	}
	if s.away(err) {
		select {
		case s.lost <- struct{}{}:
		default:
		}
		return notReady{s.scrub(err)}
	}
	return s.scrub(err)
}

// Destruct implements caddy.Destructor: it closes the database, after the last
// config that used it has ended.
func (s *store) Destruct() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(errClosed)
	if s.stop != nil {
		s.stop()
	}
	s.engine.close(drainTimeout)
	s.running.Wait()
	s.set(errClosed) // an attempt may just have succeeded
	return nil
}

// waitUsable returns when the database can be used for the first time.
func (s *store) waitUsable(ctx context.Context) error {
	select {
	case <-s.usable:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Interface guards
var (
	_ engine                      = (*sqlite)(nil)
	_ engine                      = (*postgres)(nil)
	_ caddy.Destructor            = (*store)(nil)
	_ error                       = notReady{}
	_ interface{ Unwrap() error } = scrubbed{}
)

var errNoPostgres = errors.New("this database is not PostgreSQL")
