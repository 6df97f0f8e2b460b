package datastore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ReencryptBatch is how many rows are looked at, and sealed again, in one go, so
// that nobody waits long for it.
const ReencryptBatch = 200

// SealedTable is a table that has something sealed in the column `sealed` of
// each row. Its method Reencrypt is for a Feature.
type SealedTable struct {
	Name  string // of the table
	Key   string // the column that is its primary key, a text
	Bound string // a column, the key or another one, that what is sealed is bound to

	// AdditionalData returns where what is sealed belongs. Who can write to the
	// database, but lacks the keys, cannot have it opened with other values.
	AdditionalData func(key, bound string) []byte
}

// Reencrypt seals all rows with the ring's first key.
func (t SealedTable) Reencrypt(ctx context.Context, db *DB, ring *KeyRing) (total int, err error) {
	for after := ""; ; {
		last, stale, err := t.staleAfter(ctx, db, ring, after)
		if err != nil || last == "" {
			return total, err
		}
		after = last
		if len(stale) == 0 {
			continue
		}
		n := 0
		err = db.Write(ctx, func(ctx context.Context, tx *Tx) error {
			n = 0
			if err := tx.Remember(ctx, ring); err != nil {
				return err
			}
			for _, key := range stale {
				again, err := t.reseal(ctx, tx, ring, key)
				if err != nil {
					return fmt.Errorf("%s %s: %w", t.Name, key, err)
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

// staleAfter looks at the rows behind one, and returns the last of them, or "",
// and which are sealed with another key than the first.
func (t SealedTable) staleAfter(ctx context.Context, db *DB, ring *KeyRing, after string) (last string, stale []string, err error) {
	rows, err := db.Query(ctx, "SELECT "+t.Key+", sealed FROM "+t.Name+" WHERE "+t.Key+" > $1 ORDER BY "+t.Key+" LIMIT $2", after, ReencryptBatch)
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var sealed []byte
		if err := rows.Scan(&last, &sealed); err != nil {
			return "", nil, err
		}
		if !ring.Current(sealed) {
			stale = append(stale, last)
		}
	}
	return last, stale, rows.Err()
}

// reseal seals what the row has now: it may have been changed since it was read.
func (t SealedTable) reseal(ctx context.Context, tx *Tx, ring *KeyRing, key string) (again bool, err error) {
	var bound string
	var sealed []byte
	err = tx.QueryRow(ctx, "SELECT "+t.Bound+", sealed FROM "+t.Name+" WHERE "+t.Key+" = $1"+tx.Locking("UPDATE"), key).Scan(&bound, &sealed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && ring.Current(sealed) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	place := t.AdditionalData(key, bound)
	plain, err := ring.Open(sealed, place)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, "UPDATE "+t.Name+" SET sealed = $1 WHERE "+t.Key+" = $2", ring.Seal(plain, place), key)
	return err == nil, err
}

// Locking returns the end of a query that keeps others from changing the rows
// that it finds, as all are kept on SQLite. The strength is PostgreSQL's: UPDATE,
// SHARE or KEY SHARE.
func (tx *Tx) Locking(strength string) string {
	if tx.dialect == PostgreSQL {
		return " FOR " + strength
	}
	return ""
}
