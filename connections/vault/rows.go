package vault

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// record is a connection as it is in the database.
type record struct {
	Connection
	variables   string // as they are stored
	leaseHolder string
	leaseUntil  int64
	sealed      []sealedSecret // by scheme
}

type sealedSecret struct {
	version int64 // 0: there is none
	sealed  []byte
}

// maxSchemes bounds what the index of a scheme can be.
const maxSchemes = 16

// selectRecords reads connections with their credentials. Only rows of the table in
// the FROM clause are chosen before the credentials are joined, so that it can have a limit.
func selectRecords(from string) string {
	return `SELECT c.id, c.owner, c.api, c.name, c.variables, c.status, c.reason, c.errors, c.version,
		c.lease_holder, c.lease_until, c.created_at, c.updated_at, s.scheme, s.version, s.sealed
		FROM ` + from + ` AS c LEFT JOIN connector_connection_secrets AS s ON s.connection_id = c.id`
}

var (
	selectByID    = selectRecords("connector_connections") + " WHERE c.id = $1"
	selectByOwner = selectByID + " AND c.owner = $2"
)

// scanRecords reads rows that stand together where they are of one connection.
func scanRecords(rows *sql.Rows, err error) (found []*record, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, scheme, s, err := scanRecord(rows)
		if err != nil {
			return nil, err
		}
		if n := len(found); n > 0 && found[n-1].ID == r.ID {
			r = found[n-1]
		} else {
			found = append(found, r)
		}
		if s.version == 0 {
			continue
		}
		if scheme < 0 || scheme >= maxSchemes {
			return nil, errors.New("a credential in the database is for no scheme")
		}
		for len(r.sealed) <= scheme {
			r.sealed = append(r.sealed, sealedSecret{})
		}
		r.sealed[scheme] = s
	}
	return found, rows.Err()
}

func scanRecord(row datastore.Scanner) (_ *record, scheme int, s sealedSecret, err error) {
	r := new(record)
	var testErrors sql.NullString
	var schemeOrNull, version sql.NullInt64
	var created, updated int64
	err = row.Scan(&r.ID, &r.Owner, &r.API, &r.Name, &r.variables, &r.Status, &r.Reason, &testErrors, &r.Version,
		&r.leaseHolder, &r.leaseUntil, &created, &updated, &schemeOrNull, &version, &s.sealed)
	if err != nil {
		return nil, 0, s, err
	}
	r.CreatedAt, r.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	if err := json.Unmarshal([]byte(r.variables), &r.Variables); err != nil {
		return nil, 0, s, err
	}
	if testErrors.Valid {
		if err := json.Unmarshal([]byte(testErrors.String), &r.Errors); err != nil {
			return nil, 0, s, err
		}
	}
	s.version = version.Int64
	return r, int(schemeOrNull.Int64), s, nil
}

// one returns the only record, or ErrUnknown.
func one(found []*record, err error) (*record, error) {
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrUnknown
	}
	return found[0], nil
}

// lock keeps others from changing a connection, or its credentials, and then reads it:
// what is joined to a row that was waited for would be older than the row.
func lock(ctx context.Context, tx *datastore.Tx, id string) (*record, error) {
	if tx.Dialect() == datastore.PostgreSQL {
		if _, err := tx.Exec(ctx, "SELECT 1 FROM connector_connections WHERE id = $1"+tx.Locking("UPDATE"), id); err != nil {
			return nil, err
		}
	}
	rows, err := tx.Query(ctx, selectByID, id)
	return one(scanRecords(rows, err))
}

func encodeVariables(variables map[string]string) string {
	if variables == nil {
		return "{}"
	}
	encoded, _ := json.Marshal(variables) // texts always encode
	return string(encoded)
}

func encodeErrors(texts []string) any {
	if texts == nil {
		return nil
	}
	encoded, _ := json.Marshal(texts) // texts always encode
	return string(encoded)
}
