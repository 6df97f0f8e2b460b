package anychannel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/f737063d/caddy-connector/datastore"
)

// reencryptBatch is how many instances are looked at, and sealed again, in one
// go, so that nobody waits long for it.
const reencryptBatch = 200

// reencrypt seals the metadata of all instances with the ring's first key.
func reencrypt(ctx context.Context, db *datastore.DB, ring *datastore.KeyRing) (total int, err error) {
	for after := ""; ; {
		names, stale, err := sealedAfter(ctx, db, ring, after)
		if err != nil || len(names) == 0 {
			return total, err
		}
		after = names[len(names)-1]
		if len(stale) == 0 {
			continue
		}
		n := 0
		err = db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
			n = 0
			for _, name := range stale {
				again, err := reseal(ctx, tx, ring, name)
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

// sealedAfter returns the names behind one, and which of them have metadata that
// is sealed with another key than the first.
func sealedAfter(ctx context.Context, db *datastore.DB, ring *datastore.KeyRing, after string) (names, stale []string, err error) {
	rows, err := db.Query(ctx, "SELECT name, sealed FROM connector_instances WHERE name > $1 ORDER BY name LIMIT $2", after, reencryptBatch)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var sealed []byte
		if err := rows.Scan(&name, &sealed); err != nil {
			return nil, nil, err
		}
		names = append(names, name)
		if !ring.Current(sealed) {
			stale = append(stale, name)
		}
	}
	return names, stale, rows.Err()
}

// reseal seals what the row has now: it may have been changed since it was read.
func reseal(ctx context.Context, tx *datastore.Tx, ring *datastore.KeyRing, name string) (bool, error) {
	var integration string
	var sealed []byte
	err := tx.QueryRow(ctx, "SELECT integration, sealed FROM connector_instances WHERE name = $1"+locking(tx, "UPDATE"), name).Scan(&integration, &sealed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && ring.Current(sealed) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	place := metadataOf(name, integration)
	metadata, err := ring.Open(sealed, place)
	if err != nil {
		return false, fmt.Errorf("the metadata of instance %s: %w", name, err)
	}
	_, err = tx.Exec(ctx, "UPDATE connector_instances SET sealed = $1 WHERE name = $2", ring.Seal(metadata, place), name)
	return err == nil, err
}
