package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// idsIn reads a JSON array of numbers, which is a parameter.
var idsIn = map[datastore.Dialect]func(parameter string) string{
	datastore.SQLite:     func(p string) string { return "(SELECT value FROM json_each(" + p + "))" },
	datastore.PostgreSQL: func(p string) string { return "(SELECT value::text::bigint FROM json_array_elements(" + p + "::json))" },
}

// redeliver has deliveries that are in one of the states sent
// again at once, as if they had just been published; those that wait only wait no
// longer, and those that are being sent are left alone. It returns how many there
// were. The statement does not name the subscription: PostgreSQL would take the
// index that begins with it, where it knows little of the table, and read all.
func redeliver(ctx context.Context, tx *datastore.Tx, ids []int64, states []delivery.State, now int64) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, err
	}
	updated, err := tx.Exec(ctx, `UPDATE connector_deliveries SET due = $1, tries = CASE state WHEN 0 THEN tries ELSE 0 END,
		since = CASE state WHEN 0 THEN since ELSE $1 END, state = 0
		WHERE id IN `+idsIn[tx.Dialect()]("$2")+` AND node IS NULL AND state IN (`+stateList(states)+")",
		now, string(list))
	if err != nil {
		return 0, err
	}
	return updated.RowsAffected()
}

func stateList(states []delivery.State) string {
	numbers := make([]string, len(states))
	for i, state := range states {
		numbers[i] = strconv.Itoa(int(state))
	}
	return strings.Join(numbers, ", ")
}

// receives returns nil if a subscription is sent what is published, and keeps it
// from being changed until the transaction ends.
func receives(ctx context.Context, tx *datastore.Tx, id string, now int64) error {
	query := "SELECT status, coalesce(expires_at, 0) FROM connector_subscriptions WHERE id = $1" + tx.Locking("SHARE")
	var status string
	var expiresAt int64
	err := tx.QueryRow(ctx, query, id).Scan(&status, &expiresAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errUnknown
	case err != nil:
		return err
	case status == statusEnded:
		return errEnded
	case expiresAt != 0 && expiresAt <= now:
		return errExpired
	case status == statusPaused:
		return errPaused
	case status == statusDisabled:
		return errDisabled
	case status != statusActive:
		return errInactive
	}
	return nil
}

// retry has a delivery be sent again, whatever came of it.
func (s *Store) retry(ctx context.Context, d *deliveryRow) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if err := receives(ctx, tx, d.subscription, now); err != nil {
			return err
		}
		var kept int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM connector_events WHERE id = $1", d.eventID).Scan(&kept); err != nil {
			return err
		}
		if kept == 0 {
			return errEventExpired
		}
		_, err = redeliver(ctx, tx, []int64{d.id}, allStates, now)
		return err
	})
	if err == nil {
		s.changed(d.subscription)
	}
	return err
}
