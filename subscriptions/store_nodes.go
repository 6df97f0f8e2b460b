package subscriptions

import (
	"context"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

const (
	heartbeat = 5 * time.Second
	// nodeTimeout is after how long without one a node is taken for dead, and its
	// deliveries are sent by others. If it lives after all, what it has sent
	// meanwhile is sent twice; that it cannot finish any more.
	nodeTimeout = 20 * time.Second
)

// census is what a heartbeat has found.
type census struct {
	nodes     []string // that live
	abandoned int64    // leases of dead ones that were ended
}

// beat says that this node lives, and ends the leases of those that don't: on a
// database that only one process uses, of all others. The first one of an engine
// also ends those that it had before it was stopped.
func (q *queue) beat(ctx context.Context, first bool) (found census, err error) {
	err = q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		oldest := now - nodeTimeout.Microseconds()
		if q.cluster.alone {
			oldest = now
		}
		// before it is there itself: on a coarse clock the two come at one time
		if _, err := tx.Exec(ctx, "DELETE FROM connector_nodes WHERE seen <= $1 AND id <> $2", oldest, q.node); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO connector_nodes (id, seen) VALUES ($1, $2)
			ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`, q.node, now); err != nil {
			return err
		}
		if found.nodes, err = livingNodes(ctx, tx); err != nil {
			return err
		}
		mine := ""
		if first {
			mine = q.node
		}
		ended, err := tx.Exec(ctx, `UPDATE connector_deliveries SET node = NULL
			WHERE state = 0 AND node IS NOT NULL AND (node = $1 OR node NOT IN (SELECT id FROM connector_nodes))`, mine)
		if err != nil {
			return err
		}
		found.abandoned, err = ended.RowsAffected()
		return err
	})
	return found, err
}

func livingNodes(ctx context.Context, tx *datastore.Tx) (nodes []string, err error) {
	rows, err := tx.Query(ctx, "SELECT id FROM connector_nodes")
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		nodes = append(nodes, id)
	}
	return nodes, rows.Err()
}

// leave says that this node sends nothing any more, so that others need not
// wait until they take it for dead.
func (q *queue) leave(ctx context.Context) error {
	return q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM connector_nodes WHERE id = $1", q.node)
		return err
	})
}
