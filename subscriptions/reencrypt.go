package subscriptions

import (
	"context"
	"database/sql"
	"errors"

	"github.com/f737063d/caddy-connector/datastore"
)

// reencryptBatch is how many subscriptions are looked at, and sealed again, in
// one go, so that nobody waits long for it.
const reencryptBatch = 200

// sealedRow is what is sealed of a subscription.
type sealedRow struct {
	id     string
	sealed []byte
}

// reencrypt seals the secrets of all subscriptions with the ring's first key.
func reencrypt(ctx context.Context, db *datastore.DB, ring *datastore.KeyRing) (total int, err error) {
	for after := ""; ; {
		rows, err := sealedAfter(ctx, db, after)
		if err != nil || len(rows) == 0 {
			return total, err
		}
		after = rows[len(rows)-1].id
		n := 0
		err = db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
			n = 0
			for _, row := range rows {
				if ring.Current(row.sealed) {
					continue
				}
				again, err := row.reseal(ctx, tx, ring)
				if err != nil {
					return err
				}
				if again {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += n
	}
}

func sealedAfter(ctx context.Context, db *datastore.DB, after string) (page []sealedRow, err error) {
	rows, err := db.Query(ctx, "SELECT id, sealed FROM connector_subscriptions WHERE id > $1 ORDER BY id LIMIT $2", after, reencryptBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row sealedRow
		if err := rows.Scan(&row.id, &row.sealed); err != nil {
			return nil, err
		}
		page = append(page, row)
	}
	return page, rows.Err()
}

// reseal seals what the row has now: its secrets may have been rotated since it
// was read.
func (row sealedRow) reseal(ctx context.Context, tx *datastore.Tx, ring *datastore.KeyRing) (bool, error) {
	query := "SELECT sealed FROM connector_subscriptions WHERE id = $1"
	if tx.Dialect() == datastore.PostgreSQL {
		query += " FOR UPDATE"
	}
	var sealed []byte
	if err := tx.QueryRow(ctx, query, row.id).Scan(&sealed); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = nil // it was deleted
		}
		return false, err
	}
	if ring.Current(sealed) {
		return false, nil
	}
	plain, err := ring.Open(sealed, secretsOf(row.id))
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, "UPDATE connector_subscriptions SET sealed = $1 WHERE id = $2", ring.Seal(plain, secretsOf(row.id)), row.id)
	return err == nil, err
}
