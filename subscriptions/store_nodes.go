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
	// sessionTimeout is the same for a node whose session with the database has
	// ended too, as that of a process does which is killed. Either alone says less:
	// a node that lives gets another session soon, and beats meanwhile.
	sessionTimeout = heartbeat + 2*time.Second
)

// Each node has an advisory lock for as long as its session lasts in which it
// listens. Ids that have the same hash keep each other from being missed early.
const (
	lockSession = "SELECT pg_try_advisory_lock(hashtext('connector_nodes'), hashtext($1))"

	buryDead = `DELETE FROM connector_nodes WHERE id <> $1
		AND (seen <= $2 OR seen <= $3 AND pg_try_advisory_xact_lock(hashtext('connector_nodes'), hashtext(id)))`
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
	mayBury := first || q.cluster.mayBury(time.Now())
	err = q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if mayBury {
			if err := q.bury(ctx, tx, now); err != nil {
				return err
			}
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

// bury removes the nodes that are dead.
func (q *queue) bury(ctx context.Context, tx *datastore.Tx, now int64) (err error) {
	if q.cluster.alone {
		_, err = tx.Exec(ctx, "DELETE FROM connector_nodes WHERE id <> $1", q.node)
	} else {
		_, err = tx.Exec(ctx, buryDead, q.node, now-nodeTimeout.Microseconds(), now-sessionTimeout.Microseconds())
	}
	return err
}

func livingNodes(ctx context.Context, tx *datastore.Tx) (nodes []string, err error) {
	rows, err := tx.Query(ctx, "SELECT id FROM connector_nodes")
	return datastore.Collect(rows, err, func(row datastore.Scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	})
}

// leave says that this node sends nothing any more, so that others need not
// wait until they take it for dead.
func (q *queue) leave(ctx context.Context) error {
	return q.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM connector_nodes WHERE id = $1", q.node)
		return err
	})
}
