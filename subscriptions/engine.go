package subscriptions

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// stopTimeout is how long attempts that have begun may go on when no config has
// the engine any more.
const stopTimeout = 5 * time.Second

// engines are this process's, one for a database. They live across config
// reloads.
var engines = caddy.NewUsagePool()

// sharedEngine runs while at least one config that has it does.
type sharedEngine struct {
	*delivery.Engine
	db       *datastore.DB
	replayer *replayer
	pruner   *pruner
	tests    pace

	users atomic.Int32 // configs that run

	mu      sync.Mutex // over starting and stopping
	unwatch context.CancelFunc
	jobs    sync.WaitGroup // the replayer and the pruner
}

// acquireEngine returns the engine for a database and has it run while the
// config does. Each call is undone by one of releaseEngine.
func acquireEngine(app *datastore.App, db *datastore.DB, logger *zap.Logger) (*sharedEngine, error) {
	shared, _, err := engines.LoadOrNew(db.Key(), func() (caddy.Destructor, error) {
		leases := &queue{Store: &Store{db: db}, node: rand.Text()}
		leases.engine = delivery.New(delivery.Config{Node: leases.node, Store: leases, Client: app.Transport(), Logger: logger})
		return &sharedEngine{
			Engine: leases.engine, db: db, replayer: newReplayer(db, leases.engine), pruner: &pruner{db: db, logger: logger},
		}, nil
	})
	if err != nil {
		return nil, err
	}
	engine := shared.(*sharedEngine)
	app.Work(func(ctx context.Context) {
		engine.pruner.retention.Store(int64(app.Retention))
		engine.run(ctx)
	})
	return engine, nil
}

func releaseEngine(db *datastore.DB) error {
	_, err := engines.Delete(db.Key())
	return err
}

// Destruct implements caddy.Destructor.
func (*sharedEngine) Destruct() error { return nil }

// run is a worker of each config that has the engine: the first one starts it,
// when the database is ready, and the last one stops it.
func (s *sharedEngine) run(ctx context.Context) {
	s.users.Add(1)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := s.start(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		s.Logger.Warn("deliveries wait for the database", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users.Add(-1) == 0 {
		stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if s.unwatch != nil {
			s.unwatch()
			s.jobs.Wait()
		}
		s.Stop(stopping)
	}
}

func (s *sharedEngine) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Running() {
		return nil
	}
	if err := s.db.Ready(); err != nil {
		return err
	}
	leases := s.Store.(*queue)
	if _, err := leases.beat(ctx); err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	watched, cancel := context.WithCancel(context.Background())
	s.unwatch = cancel
	go leases.watch(watched, s.Engine)
	s.jobs.Go(func() { s.replayer.run(watched) })
	s.jobs.Go(func() { s.pruner.run(watched) })
	return nil
}
