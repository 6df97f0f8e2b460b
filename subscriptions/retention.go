package subscriptions

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
)

// firstPrune is how long after the start what is old is removed for the first
// time; a variable for tests.
var firstPrune = time.Minute

const (
	pruneEvery = time.Hour

	// pruneShare is which part of the time pruning may have a transaction open:
	// on SQLite nobody else writes meanwhile.
	pruneShare = 0.2

	prunedRows   = 1000 // removed in a transaction
	prunedEvents = 200  // which may be large
)

// prunedTotal is a package variable so that its counts survive config reloads.
var prunedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "caddy",
	Subsystem: "subscriptions",
	Name:      "pruned_total",
	Help:      "Rows that were removed because they were older than the retention, by kind.",
}, []string{"kind"})

// pruner removes what is older than the retention.
type pruner struct {
	db        *datastore.DB
	logger    *zap.Logger
	retention atomic.Int64 // nanoseconds; of the config that was started last
}

// run prunes until the context ends. Several nodes do so at different times.
func (p *pruner) run(ctx context.Context) {
	for wait := firstPrune; ; wait = pruneEvery {
		wait += time.Duration(rand.Int64N(int64(wait)/5 + 1)) //nolint:gosec // it is no secret
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err := p.prune(ctx); err != nil && ctx.Err() == nil {
			p.logger.Error("removing what is older than the retention failed", zap.Error(err))
		}
	}
}

// pruned is how many rows of each kind were removed.
type pruned struct {
	deliveries, pending, attempts, events, replays, subscriptions int64
}

// prune removes what is old now, in small transactions with pauses. Deliveries go
// before their events, so that what is left when it is broken off is whole.
func (p *pruner) prune(ctx context.Context) error {
	now, err := p.db.Now(ctx)
	if err != nil {
		return err
	}
	cutoff := now - time.Duration(p.retention.Load()).Microseconds()
	var all pruned
	for _, kind := range []func(context.Context, int64, *pruned) error{p.deliveries, p.events, p.replays, p.subscriptions} {
		if err = kind(ctx, cutoff, &all); err != nil {
			break
		}
	}
	all.count()
	if all.pending > 0 {
		p.logger.Warn("deliveries that were still to be made are older than the retention and were removed",
			zap.Int64("deliveries", all.pending))
	}
	if all != (pruned{}) {
		p.logger.Info("removed what is older than the retention", zap.Int64("events", all.events), zap.Int64("deliveries", all.deliveries),
			zap.Int64("attempts", all.attempts), zap.Int64("replays", all.replays), zap.Int64("subscriptions", all.subscriptions))
	}
	if errors.Is(err, errElsewhere) {
		return nil
	}
	return err
}

func (n *pruned) count() {
	for kind, rows := range map[string]int64{
		"delivery": n.deliveries, "attempt": n.attempts, "event": n.events, "replay": n.replays, "subscription": n.subscriptions,
	} {
		prunedTotal.WithLabelValues(kind).Add(float64(rows))
	}
}

// errElsewhere says that another node is pruning.
var errElsewhere = errors.New("another node prunes")

// write runs a transaction while no other node prunes, and then pauses.
func (p *pruner) write(ctx context.Context, f func(context.Context, *datastore.Tx) error) error {
	started := time.Now()
	err := p.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		if tx.Dialect() == datastore.PostgreSQL {
			var alone bool
			err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock(hashtext('connector_retention'))").Scan(&alone)
			if err != nil {
				return err
			}
			if !alone {
				return errElsewhere
			}
		}
		return f(ctx, tx)
	})
	if err != nil {
		return err
	}
	rest(ctx, pauseAfter(time.Since(started), pruneShare))
	return ctx.Err()
}
