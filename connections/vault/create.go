package vault

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/f737063d/caddy-connector/datastore"
)

// What is kept of a connection at most, in bytes.
const (
	maxText      = 1 << 10  // owner, API, name, reason
	maxVariables = 64 << 10 // encoded
	maxErrors    = 16 << 10 // encoded
	maxSecret    = 64 << 10 // each
)

// New is a connection to be made.
type New struct {
	Owner, API, Name string
	Variables        map[string]string

	// An encoded credential for each scheme of the API. One that is nil is still to
	// come.
	Secrets [][]byte `json:"-"`

	// Default: Active, or Pending if a credential is still to come.
	Status Status
}

// Format implements fmt.Formatter, so that no verb prints a credential.
func (n New) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "new connection of %q to %q (credentials REDACTED)", n.Owner, n.API)
}

func (n *New) tooLarge() bool {
	return len(n.Owner) > maxText || len(n.API) > maxText || len(n.Name) > maxText || len(n.Secrets) > maxSchemes ||
		len(encodeVariables(n.Variables)) > maxVariables ||
		slices.ContainsFunc(n.Secrets, func(s []byte) bool { return len(s) > maxSecret })
}

func (n *New) status() Status {
	if n.Status != "" {
		return n.Status
	}
	if slices.ContainsFunc(n.Secrets, func(s []byte) bool { return s == nil }) {
		return Pending
	}
	return Active
}

// newID returns the id of a new connection. Nobody can guess it, and later ones sort
// behind it.
func newID() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }

// Create keeps a new connection, unless its owner has as many as the limit, or has
// one of that name; 0 is no limit. What it returns has no credentials.
func (s *Store) Create(ctx context.Context, n New, limit int) (*Connection, error) {
	if n.tooLarge() {
		return nil, ErrTooLarge
	}
	ring, err := s.db.KeyRing()
	if err != nil {
		return nil, err
	}
	id := newID()
	r := &record{Connection: Connection{ID: id, Owner: n.Owner, API: n.API}, variables: encodeVariables(n.Variables)}
	var made *record
	err = s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		if err := alone(ctx, tx, n.Owner); err != nil {
			return err
		}
		if err := free(ctx, tx, n.Owner, n.API, n.Name, id); err != nil {
			return err
		}
		if err := room(ctx, tx, n.Owner, limit); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO connector_connections (id, owner, api, name, variables, status, reason, version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, '', 1, $7, $8)`, id, n.Owner, n.API, n.Name, r.variables, string(n.status()), now, now)
		if err != nil {
			return err
		}
		for scheme, plain := range n.Secrets {
			if plain == nil {
				continue
			}
			if err := putSecret(ctx, tx, ring, r, scheme, 1, plain); err != nil {
				return err
			}
		}
		if made, err = lock(ctx, tx, id); err != nil {
			return err
		}
		return announce(ctx, tx, createdEvent, &made.Connection)
	})
	if err != nil {
		return nil, err
	}
	return made.closed(), nil
}

// Room reports what Create would refuse now.
func (s *Store) Room(ctx context.Context, owner, api, name string, limit int) error {
	if err := free(ctx, s.db, owner, api, name, ""); err != nil {
		return err
	}
	return room(ctx, s.db, owner, limit)
}

// rows is a transaction, or the database as it is.
type rows interface {
	QueryRow(ctx context.Context, query string, args ...any) *datastore.Row
}

// alone has those who add or rename connections of one owner's wait for each other,
// as all who write do on SQLite.
func alone(ctx context.Context, tx *datastore.Tx, owner string) error {
	if tx.Dialect() != datastore.PostgreSQL {
		return nil
	}
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('connector_connections'), hashtext($1))", owner)
	return err
}

// free returns ErrNameTaken if another connection has the name.
func free(ctx context.Context, in rows, owner, api, name, id string) error {
	var other string
	err := in.QueryRow(ctx, "SELECT id FROM connector_connections WHERE owner = $1 AND api = $2 AND name = $3 AND id <> $4",
		owner, api, name, id).Scan(&other)
	switch {
	case err == nil:
		return ErrNameTaken
	case errors.Is(err, sql.ErrNoRows):
		return nil
	}
	return err
}

func room(ctx context.Context, in rows, owner string, limit int) error {
	if limit == 0 {
		return nil
	}
	var n int
	err := in.QueryRow(ctx, "SELECT count(*) FROM (SELECT 1 FROM connector_connections WHERE owner = $1 LIMIT $2) AS counted", owner, limit).Scan(&n)
	if err == nil && n >= limit {
		return ErrLimit
	}
	return err
}
