package vault

import (
	"context"
	"embed"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/metrics"
)

//go:embed migrations
var migrations embed.FS

func init() {
	datastore.Register(datastore.Feature{
		Name: "connections", Reencrypt: reencrypt,
		SQLite: datastore.Dir(migrations, "migrations/sqlite"), PostgreSQL: datastore.Dir(migrations, "migrations/postgres"),
	})
}

// readsTotal is a package variable so that its counts survive config reloads.
var readsTotal = prometheus.NewCounter(prometheus.CounterOpts{
	Namespace: "caddy",
	Subsystem: "connections",
	Name:      "reads_total",
	Help:      "Connections that were read from the database, because they were not in memory or could be outdated.",
})

// Store keeps connections. It is shared by all handlers and configs that have the
// same database, and outlives each of them. It is safe for concurrent use.
type Store struct {
	db     *datastore.DB
	cache  *cache
	logger atomic.Pointer[zap.Logger] // of the config that was started last

	mu       sync.Mutex // over starting and stopping to listen
	users    int        // configs that run
	stop     context.CancelFunc
	stopping sync.WaitGroup
}

// stores are this process's, one for a database.
var stores = caddy.NewUsagePool()

// Open returns the store on the database of a config, for a module that is being
// provisioned: nothing is read or written before the config starts. Each Open is
// undone by one Close.
func Open(ctx caddy.Context, logger *zap.Logger) (*Store, error) {
	app, err := datastore.Of(ctx)
	if err != nil {
		return nil, err
	}
	if err := metrics.Register(ctx.GetMetricsRegistry(), readsTotal); err != nil {
		return nil, err
	}
	return open(app, logger)
}

func open(app *datastore.App, logger *zap.Logger) (*Store, error) {
	db, err := app.Database()
	if err != nil {
		return nil, err
	}
	shared, _, err := stores.LoadOrNew(db.Key(), func() (caddy.Destructor, error) { return newStore(db, logger), nil })
	if err != nil {
		return nil, err
	}
	s := shared.(*Store)
	app.Work(func(ctx context.Context) {
		s.logger.Store(logger)
		s.run(ctx)
	})
	return s, nil
}

func newStore(db *datastore.DB, logger *zap.Logger) *Store {
	s := &Store{db: db, cache: newCache(db.Dialect() == datastore.SQLite)}
	s.logger.Store(logger)
	return s
}

// Close says that the module that has opened the store is done with it. Requests
// that are under way may go on.
func (s *Store) Close() error {
	_, err := stores.Delete(s.db.Key())
	return err
}

// Destruct implements caddy.Destructor: it forgets the credentials.
func (s *Store) Destruct() error {
	s.cache.forgetAll()
	return nil
}

func (s *Store) log() *zap.Logger { return s.logger.Load() }

// run is a worker of each config that has the store: while at least one of them runs,
// the store listens to other nodes.
func (s *Store) run(ctx context.Context) {
	if s.db.Dialect() != datastore.PostgreSQL {
		return
	}
	s.mu.Lock()
	if s.users++; s.users == 1 {
		listening, cancel := context.WithCancel(context.Background())
		s.stop = cancel
		s.stopping.Go(func() { s.listen(listening) })
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		s.stop()
		s.stopping.Wait()
	}
}

// reencrypt seals all that is not sealed with the ring's first key.
func reencrypt(ctx context.Context, db *datastore.DB, ring *datastore.KeyRing) (int, error) {
	secrets, err := sealedSecrets.Reencrypt(ctx, db, ring)
	if err != nil {
		return secrets, err
	}
	flows, err := sealedFlows.Reencrypt(ctx, db, ring)
	return secrets + flows, err
}

// began is when this process began: times of its own are counted from there, on a
// clock that nobody sets.
var began = time.Now()

func elapsed() int64 { return int64(time.Since(began)) }

// Interface guard
var _ caddy.Destructor = (*Store)(nil)
