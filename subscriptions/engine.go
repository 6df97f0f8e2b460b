package subscriptions

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/pace"
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
	store    *Store // that of the engine itself
	replayer *replayer
	pruner   *pruner
	tests    *pace.Pace
	owners   ownerPace
	turns    turns
	client   *currentTransport
	log      *currentLog
	leases   *queue

	users atomic.Int32 // configs that run

	mu      sync.Mutex // over starting and stopping
	unwatch context.CancelFunc
	jobs    sync.WaitGroup // what runs beside the engine
}

// acquireEngine returns the engine for a database and has it run while the
// config does. Each call is undone by one of releaseEngine.
func acquireEngine(app *datastore.App, db *datastore.DB, logger *zap.Logger) (*sharedEngine, error) {
	shared, _, err := engines.LoadOrNew(db.Key(), func() (caddy.Destructor, error) { return newSharedEngine(db, logger), nil })
	if err != nil {
		return nil, err
	}
	engine := shared.(*sharedEngine)
	engine.client.CompareAndSwap(nil, app.Transport()) // a request may come before the workers start
	app.Work(func(ctx context.Context) {
		engine.client.Store(app.Transport())
		engine.log.Store(logger)
		engine.pruner.retention.Store(int64(app.Retention))
		engine.run(ctx)
	})
	return engine, nil
}

func newSharedEngine(db *datastore.DB, logger *zap.Logger) *sharedEngine {
	node := rand.Text()
	log, logger := newCurrentLog(logger)
	cluster, client, notifier := newCluster(db, node), new(currentTransport), newNotifier(db, node)
	store := &Store{db: db, notifier: notifier, batcher: newBatcher(), canceller: newCanceller(db, logger)}
	leases := &queue{Store: store, node: node, cluster: cluster}
	store.engine = delivery.New(delivery.Config{
		Node: node, Store: leases, Client: client, Logger: logger,
		Home: cluster.isHome, Tell: func(waiting []string) { notifier.tell(noticeWaiting, waiting...) },
	})
	return &sharedEngine{
		Engine: store.engine, store: store, leases: leases, client: client, log: log,
		replayer: newReplayer(store), pruner: &pruner{db: db, logger: logger}, tests: pace.New(testPace),
	}
}

// currentTransport is the guarded transport of the config that was started last:
// the engine outlives configs, and what they let it dial.
type currentTransport struct {
	atomic.Pointer[egress.Transport]
}

// RoundTrip implements http.RoundTripper. It is called when a config runs.
func (c *currentTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.Load().RoundTrip(r)
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
		s.leave(stopping)
	}
}

func (s *sharedEngine) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Running() {
		return nil
	}
	if err := s.store.db.Ready(); err != nil {
		return err
	}
	at := time.Now()
	found, err := s.leases.beat(ctx, true)
	if err != nil {
		return err
	}
	s.leases.cluster.seen(found.nodes, at)
	if err := s.Start(ctx); err != nil {
		return err
	}
	watched, cancel := context.WithCancel(context.Background())
	s.unwatch = cancel
	s.jobs.Go(func() { s.replayer.run(watched) })
	s.jobs.Go(func() { s.pruner.run(watched) })
	s.jobs.Go(func() { s.store.canceller.run(watched) })
	if !s.leases.cluster.alone {
		s.watch(watched)
	}
	return nil
}

// watch follows the other nodes, and has them follow this one, until its context
// ends.
func (s *sharedEngine) watch(ctx context.Context) {
	look := make(chan struct{}, 1)
	ears := &listener{db: s.store.db, cluster: s.leases.cluster, engine: s.Engine, nodes: func() {
		select {
		case look <- struct{}{}:
		default:
		}
	}}
	s.jobs.Go(func() { s.store.notifier.run(ctx, s.Logger) })
	s.jobs.Go(func() { ears.run(ctx) })
	s.jobs.Go(func() {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			case <-look:
			}
			if err := s.follow(ctx); err != nil && ctx.Err() == nil {
				s.Logger.Error("the heartbeat failed", zap.Error(err))
			}
		}
	})
	s.store.notifier.tell(noticeNodes)
}

// follow beats, and takes up what other nodes have left, or have come to send.
func (s *sharedEngine) follow(ctx context.Context) error {
	at := time.Now()
	found, err := s.leases.beat(ctx, false)
	if err != nil {
		return err
	}
	if found.abandoned > 0 {
		s.Logger.Info("taking over deliveries of a node that is gone", zap.Int64("deliveries", found.abandoned))
	}
	if s.leases.cluster.seen(found.nodes, at) || found.abandoned > 0 {
		return s.Rebalance(ctx)
	}
	return nil
}

// leave tells the other nodes that this one sends nothing any more.
func (s *sharedEngine) leave(ctx context.Context) {
	if s.leases.cluster.alone || s.unwatch == nil {
		return
	}
	err := s.leases.leave(ctx)
	if err == nil {
		s.store.notifier.tell(noticeNodes)
		err = s.store.notifier.flush(ctx)
	}
	if err != nil {
		s.Logger.Warn("leaving the other nodes failed; they will notice", zap.Error(err))
	}
}
