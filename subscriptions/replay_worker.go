package subscriptions

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
)

const (
	replayBatch = 500 // deliveries in a transaction

	// maxWaiting is how many of a subscription's deliveries may be due for the
	// next batch to be added: what is published meanwhile waits behind them.
	maxWaiting = 500

	// replays that wait for that are looked at again after these times
	firstLook, lastLook = 50 * time.Millisecond, 5 * time.Second

	runningReplays = 1000 // that a node works on at a time, in turn
)

// replayer carries out replays on one node. A replay belongs to the node that
// last worked on it, as long as that lives.
type replayer struct {
	*Store
	woken chan struct{} // has room for one
}

func newReplayer(store *Store) *replayer {
	return &replayer{Store: store, woken: make(chan struct{}, 1)}
}

// wake has new replays looked for.
func (r *replayer) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// run works until the context ends. Where nothing is to be done it waits to be
// woken; where other nodes may leave something, it looks with each heartbeat.
func (r *replayer) run(ctx context.Context) {
	for wait := firstLook; ctx.Err() == nil; {
		running, progress, err := r.round(ctx)
		var again <-chan time.Time
		switch {
		case err != nil:
			if ctx.Err() == nil {
				r.engine.Logger.Error("replaying deliveries failed", zap.Error(err))
			}
			again = time.After(lastLook)
		case progress:
			wait = firstLook
			continue
		case running:
			again = time.After(wait)
			wait = min(2*wait, lastLook)
		case r.db.Dialect() == datastore.PostgreSQL:
			again = time.After(heartbeat)
		}
		select {
		case <-ctx.Done():
		case <-again:
		case <-r.woken:
			wait = firstLook
		}
	}
	r.leave(context.WithoutCancel(ctx))
}

// leave has other nodes go on with this one's replays at once.
func (r *replayer) leave(ctx context.Context) {
	if r.db.Dialect() == datastore.SQLite {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := r.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE connector_replays SET node = NULL WHERE status = 'running' AND node = $1", r.engine.Node)
		return err
	})
	if err != nil { // they find out when this node is gone
		r.engine.Logger.Debug("leaving replays to other nodes failed", zap.Error(err))
	}
}

// round adds a batch of each replay that runs, and reports whether one does, and
// whether something was added or ended.
func (r *replayer) round(ctx context.Context) (running, progress bool, err error) {
	replays, err := r.running(ctx)
	for _, one := range replays {
		added, err := r.batch(ctx, one)
		if err != nil {
			return true, progress, err
		}
		progress = progress || added
	}
	return len(replays) > 0, progress, err
}

// mine are the replays that this node works on, or may take over.
const mine = "status = 'running' AND (node IS NULL OR node = $1 OR node NOT IN (SELECT id FROM connector_nodes))"

// running are those of them that can go on. That a subscription is resumed, the
// replayer is told.
func (r *replayer) running(ctx context.Context) ([]*replay, error) {
	rows, err := r.db.Query(ctx, "SELECT "+replayColumns+" FROM connector_replays AS r WHERE "+mine+` AND NOT EXISTS (
		SELECT 1 FROM connector_subscriptions AS s WHERE s.id = r.subscription_id AND s.status IN ('paused', 'disabled'))
		ORDER BY r.id LIMIT $2`, r.engine.Node, runningReplays)
	return datastore.Collect(rows, err, scanReplay)
}

// errMoved says that a replay is not any more as it was read.
var errMoved = errors.New("the replay has been cancelled or taken over")

// batch has the next deliveries of a replay be sent, and reports whether it did.
func (r *replayer) batch(ctx context.Context, of *replay) (progress bool, err error) {
	full, err := r.isFull(ctx, of.subscription)
	if err != nil {
		return false, err
	}
	var ids []int64
	position, ended := of.position, false
	if !full {
		if ids, position, ended, err = r.next(ctx, of); err != nil {
			return false, err
		}
	}
	var added int64
	err = r.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		added, progress = 0, false
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		switch err := receives(ctx, tx, of.subscription, now); {
		case errors.Is(err, errUnknown), errors.Is(err, errEnded), errors.Is(err, errExpired):
			progress = true
			return endReplay(ctx, tx, of.id, now)
		case errors.As(err, new(*refusal)):
			return nil // it waits
		case err != nil:
			return err
		}
		if full {
			return nil
		}
		progress = true
		if added, err = redeliver(ctx, tx, ids, of.states, now); err != nil {
			return err
		}
		return r.move(ctx, tx, of, position, added, ended, now)
	})
	if errors.Is(err, errMoved) {
		return true, nil // the next round knows
	}
	if err == nil && added > 0 {
		r.look(of.subscription)
	}
	return progress && err == nil, err
}

// isFull reports whether enough of a subscription's deliveries wait to be sent
// now.
func (r *replayer) isFull(ctx context.Context, subscription string) (bool, error) {
	now, err := r.db.Now(ctx)
	if err != nil {
		return false, err
	}
	var waiting int
	err = r.db.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM connector_deliveries
		WHERE subscription_id = $1 AND state = 0 AND node IS NULL AND due <= $2 LIMIT $3) AS waiting`, subscription, now, maxWaiting).Scan(&waiting)
	return waiting >= maxWaiting, err
}

// next returns the next deliveries of a replay, how far it has come with them,
// and whether they are the last.
func (r *replayer) next(ctx context.Context, of *replay) (ids []int64, position int64, last bool, err error) {
	rows, err := r.db.Query(ctx, "SELECT d.id, coalesce(e.created_at, -1) FROM ("+merged(of.states, "ASC")+`) AS d
		LEFT JOIN connector_events AS e ON e.id = d.event_id ORDER BY d.id`, of.subscription, of.position, int64(never), replayBatch)
	if err != nil {
		return nil, 0, false, err
	}
	defer rows.Close()
	position = of.position
	seen := 0
	for ; rows.Next(); seen++ {
		var published int64
		if err := rows.Scan(&position, &published); err != nil {
			return nil, 0, false, err
		}
		if published > of.until+clockSkew.Microseconds() {
			return ids, position, true, nil
		}
		if published >= of.since && published <= of.until && published >= 0 { // the event is kept
			ids = append(ids, position)
		}
	}
	return ids, position, seen < replayBatch, rows.Err()
}

// move stores how far a replay has come, if it is still this node's.
func (r *replayer) move(ctx context.Context, tx *datastore.Tx, of *replay, position, added int64, ended bool, now int64) error {
	status := replayRunning
	if ended {
		status = replayDone
	}
	moved, err := tx.Exec(ctx, `UPDATE connector_replays SET status = $2, position = $3, replayed = replayed + $4, updated_at = $5, node = $1
		WHERE id = $6 AND position = $7 AND `+mine, r.engine.Node, status, position, added, now, of.id, of.position)
	if err != nil {
		return err
	}
	if n, err := moved.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errMoved)
	}
	return nil
}
