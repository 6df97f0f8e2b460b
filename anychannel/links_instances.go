package anychannel

import (
	"context"
	"database/sql"
	"errors"

	"github.com/f737063d/caddy-connector/datastore"
)

const instanceColumns = "name, integration, state, sealed_at, created_at, updated_at"

// instanceRow is an instance without its metadata. Times are microseconds since
// 1970.
type instanceRow struct {
	name, integration, state       string
	sealedAt, createdAt, updatedAt int64
}

func scanInstance(row datastore.Scanner) (*instanceRow, error) {
	i := new(instanceRow)
	if err := row.Scan(&i.name, &i.integration, &i.state, &i.sealedAt, &i.createdAt, &i.updatedAt); err != nil {
		return nil, err
	}
	return i, nil
}

// instanceChange is what an instance shall be.
type instanceChange struct {
	name, integration, state string
	metadata                 *string // nil: as it is
}

func (l links) putInstance(ctx context.Context, c *instanceChange) (kept *instanceRow, created bool, err error) {
	ring, err := l.db.KeyRing()
	if err != nil {
		return nil, false, err
	}
	var sealed []byte
	if c.metadata != nil {
		sealed = ring.Seal([]byte(*c.metadata), metadataOf(c.name, c.integration))
	}
	err = l.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		kept, err = scanInstance(tx.QueryRow(ctx, "SELECT "+instanceColumns+" FROM connector_instances WHERE name = $1"+tx.Locking("UPDATE"), c.name))
		created = errors.Is(err, sql.ErrNoRows)
		switch {
		case created && sealed == nil:
			return errMetadataMissing
		case created:
			kept = &instanceRow{name: c.name, createdAt: now}
		case err != nil:
			return err
		case kept.integration != c.integration && sealed == nil:
			return errMetadataMissing
		}
		kept.integration, kept.state, kept.updatedAt = c.integration, c.state, now
		if sealed == nil {
			_, err := tx.Exec(ctx, "UPDATE connector_instances SET state = $1, updated_at = $2 WHERE name = $3", kept.state, now, c.name)
			return err
		}
		kept.sealedAt = now
		if err := tx.Remember(ctx, ring); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO connector_instances ("+instanceColumns+`, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (name) DO UPDATE SET integration = excluded.integration, state = excluded.state, sealed = excluded.sealed,
			sealed_at = excluded.sealed_at, updated_at = excluded.updated_at`,
			kept.name, kept.integration, kept.state, kept.sealedAt, kept.createdAt, kept.updatedAt, sealed)
		return err
	})
	return kept, created, err
}

func (l links) instance(ctx context.Context, name string) (*instanceRow, error) {
	found, err := scanInstance(l.db.QueryRow(ctx, "SELECT "+instanceColumns+" FROM connector_instances WHERE name = $1", name))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errInstanceUnknown
	}
	return found, err
}

func (l links) instances(ctx context.Context, p page) (found []*instanceRow, more bool, err error) {
	rows, err := l.db.Query(ctx, "SELECT "+instanceColumns+" FROM connector_instances WHERE name > $1 ORDER BY name LIMIT $2", p.after, p.limit+1)
	return datastore.Page(rows, err, p.limit, scanInstance)
}

// deleteInstance also deletes the links of its tickets, by their foreign key.
func (l links) deleteInstance(ctx context.Context, name string) error {
	return l.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		result, err := tx.Exec(ctx, "DELETE FROM connector_instances WHERE name = $1", name)
		return changed(result, err, errInstanceUnknown)
	})
}
