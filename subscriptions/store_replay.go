package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/f737063d/caddy-connector/datastore"
)

const (
	maxReplays  = 5   // of an owner's that run
	keptReplays = 100 // of a subscription's
)

const replayColumns = "r.id, r.subscription_id, r.since, r.until, r.states, r.status, r.position, r.replayed, r.total, r.created_at, r.updated_at"

func scanReplay(row datastore.Scanner) (*replay, error) {
	r := new(replay)
	var states string
	err := row.Scan(&r.id, &r.subscription, &r.since, &r.until, &states, &r.status, &r.position, &r.replayed, &r.total, &r.createdAt, &r.updatedAt)
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal([]byte(states), &names); err != nil {
		return nil, err
	}
	var ok bool
	if r.states, ok = parseStates(names); !ok {
		return nil, errors.New("a replay has states that there are not")
	}
	return r, nil
}

// createReplay keeps a new replay and has it begin.
func (s *Store) createReplay(ctx context.Context, owner string, r *replay) error {
	if _, err := s.get(ctx, owner, r.subscription); err != nil {
		return err
	}
	now, err := s.db.Now(ctx)
	if err != nil {
		return err
	}
	if r.since > now {
		return errReplaySince
	}
	r.until = min(r.until, now)
	first, err := s.firstSince(ctx, r.since-clockSkew.Microseconds())
	if err != nil {
		return err
	}
	r.id, r.position = newReplayID(), first-1
	if r.total, err = s.countBetween(ctx, r); err != nil {
		return err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		return insertReplay(ctx, tx, owner, r, s.engine.Node)
	})
	if err != nil {
		return err
	}
	s.replayer.wake()
	return nil
}

// countBetween returns how many deliveries a replay is for. It counts in the
// index only, and so by their ids.
func (s *Store) countBetween(ctx context.Context, r *replay) (total int64, err error) {
	first, err := s.firstSince(ctx, r.since)
	if err != nil {
		return 0, err
	}
	end, err := s.firstSince(ctx, r.until+1)
	if err != nil {
		return 0, err
	}
	err = s.db.QueryRow(ctx, `SELECT count(*) FROM connector_deliveries
		WHERE subscription_id = $1 AND state IN (`+stateList(r.states)+") AND id >= $2 AND id < $3", r.subscription, first, end).Scan(&total)
	return total, err
}

func insertReplay(ctx context.Context, tx *datastore.Tx, owner string, r *replay, node string) error {
	now, err := begin(ctx, tx, owner)
	if err != nil {
		return err
	}
	if err := receives(ctx, tx, r.subscription, now); err != nil {
		return err
	}
	var running int
	err = tx.QueryRow(ctx, `SELECT count(*) FROM connector_replays AS r JOIN connector_subscriptions AS s ON s.id = r.subscription_id
		WHERE r.status = 'running' AND s.owner = $1`, owner).Scan(&running)
	if err != nil {
		return err
	}
	if running >= maxReplays {
		return errReplayLimit
	}
	states, err := json.Marshal(r.view().States)
	if err != nil {
		return err
	}
	r.createdAt, r.updatedAt = now, now
	_, err = tx.Exec(ctx, `INSERT INTO connector_replays (id, subscription_id, since, until, states, status, position, replayed, total, node, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $10)`,
		r.id, r.subscription, r.since, r.until, string(states), r.status, r.position, r.total, node, now)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM connector_replays WHERE subscription_id = $1 AND status <> 'running' AND id <= (
		SELECT id FROM connector_replays WHERE subscription_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, r.subscription, keptReplays)
	return err
}

// replays returns a page of a subscription's replays, the newest first, behind
// the one with the id before, and whether there are more.
func (s *Store) replays(ctx context.Context, owner, subscription, before string, limit int) (page []*replay, more bool, err error) {
	if _, err := s.get(ctx, owner, subscription); err != nil {
		return nil, false, err
	}
	rows, err := s.db.Query(ctx, "SELECT "+replayColumns+` FROM connector_replays AS r
		WHERE r.subscription_id = $1 AND ($2 = '' OR r.id < $2) ORDER BY r.id DESC LIMIT $3`, subscription, before, limit+1)
	return datastore.Page(rows, err, limit, scanReplay)
}

// replay returns a replay of an owner's.
func (s *Store) replay(ctx context.Context, owner, subscription, id string) (*replay, error) {
	if _, err := s.get(ctx, owner, subscription); err != nil {
		return nil, err
	}
	if !validReplayID(id) {
		return nil, errReplay
	}
	found, err := scanReplay(s.db.QueryRow(ctx, "SELECT "+replayColumns+` FROM connector_replays AS r
		WHERE r.id = $1 AND r.subscription_id = $2`, id, subscription))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errReplay
	}
	return found, err
}

// cancelReplay ends a replay that runs; what it has replayed is sent. One that
// has ended stays as it is.
func (s *Store) cancelReplay(ctx context.Context, owner, subscription, id string) error {
	if _, err := s.replay(ctx, owner, subscription, id); err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		return endReplay(ctx, tx, id, now)
	})
}

// endReplay cancels a replay that runs.
func endReplay(ctx context.Context, tx *datastore.Tx, id string, now int64) error {
	_, err := tx.Exec(ctx, "UPDATE connector_replays SET status = 'cancelled', node = NULL, updated_at = $1 WHERE id = $2 AND status = 'running'", now, id)
	return err
}
