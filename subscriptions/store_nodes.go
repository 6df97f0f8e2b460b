package subscriptions

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

const (
	heartbeat = 5 * time.Second
	// nodeTimeout is after how long without one a node is taken for dead, and its
	// deliveries are sent by others. If it lives after all, what it has sent
	// meanwhile is sent twice; that it cannot finish any more.
	nodeTimeout = 20 * time.Second
)

// beat says that this node lives, and ends the leases of those that don't: on a
// database that only one process uses, of all others. It returns how many leases
// it has ended.
func (q *queue) beat(ctx context.Context) (abandoned int64, err error) {
	alone := q.db.Dialect() == datastore.SQLite
	err = q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO connector_nodes (id, seen) VALUES ($1, $2)
			ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`, q.node, now); err != nil {
			return err
		}
		oldest := now - nodeTimeout.Microseconds()
		if alone {
			oldest = now - 1
		}
		if _, err := tx.Exec(ctx, "DELETE FROM connector_nodes WHERE seen <= $1", oldest); err != nil {
			return err
		}
		ended, err := tx.Exec(ctx, `UPDATE connector_deliveries SET node = NULL
			WHERE state = 0 AND node IS NOT NULL AND node NOT IN (SELECT id FROM connector_nodes)`)
		if err != nil {
			return err
		}
		abandoned, err = ended.RowsAffected()
		return err
	})
	return abandoned, err
}

// watch beats as long as the engine runs, on a database that other nodes may
// use, and takes over what dead ones have left.
func (q *queue) watch(ctx context.Context, engine *delivery.Engine) {
	if q.db.Dialect() == datastore.SQLite {
		return
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		abandoned, err := q.beat(ctx)
		if err == nil && abandoned > 0 {
			engine.Logger.Info("taking over deliveries of a node that is gone", zap.Int64("deliveries", abandoned))
			err = engine.Resume(ctx)
		}
		if err != nil && ctx.Err() == nil {
			engine.Logger.Error("the heartbeat failed", zap.Error(err))
		}
	}
}
