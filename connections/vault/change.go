package vault

import (
	"context"
	"maps"

	"github.com/f737063d/caddy-connector/datastore"
)

// Change is what to change of a connection. nil is what stays.
type Change struct {
	Name *string

	// All variables: those that it lacks are gone.
	Variables *map[string]string
}

// Update changes a connection. If the version is not 0 and not the current one, that
// is ErrStale. With other variables, what the last test found is forgotten; they are
// ErrUnreadable if a credential is. Without a difference the version stays.
func (s *Store) Update(ctx context.Context, owner, id string, version int64, change Change) (*Connection, error) {
	if change.Name != nil && len(*change.Name) > maxText ||
		change.Variables != nil && len(encodeVariables(*change.Variables)) > maxVariables {
		return nil, ErrTooLarge
	}
	return s.change(ctx, owner, id, version, func(ctx context.Context, tx *datastore.Tx, r *record) (bool, error) {
		differs := false
		if change.Name != nil && *change.Name != r.Name {
			if err := free(ctx, tx, r.Owner, r.API, *change.Name, r.ID); err != nil {
				return false, err
			}
			r.Name, differs = *change.Name, true
		}
		if change.Variables != nil && !maps.Equal(*change.Variables, r.Variables) {
			if err := s.bind(ctx, tx, r, *change.Variables); err != nil {
				return false, err
			}
			r.Errors, differs = nil, true
		}
		return differs, nil
	})
}

// SetSecrets replaces the credential for one scheme, or gives the first one, and sets
// the status; the reason of ReauthRequired stays until it is Active. What the last test
// found is forgotten, and a refresh that is under way will not be saved. If the version, which is the connection's, is not 0 and not
// the current one, that is ErrStale.
func (s *Store) SetSecrets(ctx context.Context, owner, id string, version int64, scheme int, plain []byte, status Status) (*Connection, error) {
	if scheme < 0 || scheme >= maxSchemes || len(plain) > maxSecret {
		return nil, ErrTooLarge
	}
	ring, err := s.db.KeyRing()
	if err != nil {
		return nil, err
	}
	return s.change(ctx, owner, id, version, func(ctx context.Context, tx *datastore.Tx, r *record) (bool, error) {
		if status == Active {
			r.Reason = ""
		}
		r.Status, r.Errors = status, nil
		r.leaseHolder, r.leaseUntil = "", 0
		return true, putSecret(ctx, tx, ring, r, scheme, r.secretVersion(scheme)+1, plain)
	})
}

// SetErrors keeps what a test of the connection has found; nil: that there was none.
func (s *Store) SetErrors(ctx context.Context, owner, id string, version int64, found []string) (*Connection, error) {
	if encoded, ok := encodeErrors(found).(string); ok && len(encoded) > maxErrors {
		return nil, ErrTooLarge
	}
	return s.change(ctx, owner, id, version, func(_ context.Context, _ *datastore.Tx, r *record) (bool, error) {
		r.Errors = found
		return true, nil
	})
}

// Delete removes a connection with its credentials.
func (s *Store) Delete(ctx context.Context, owner, id string) error {
	if !ValidID(id) {
		return ErrUnknown
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		r, err := owned(ctx, tx, owner, id, 0)
		if err != nil {
			return err
		}
		for _, statement := range []string{
			"DELETE FROM connector_connection_secrets WHERE connection_id = $1",
			"DELETE FROM connector_connections WHERE id = $1",
		} {
			if _, err := tx.Exec(ctx, statement, id); err != nil {
				return err
			}
		}
		if err := announce(ctx, tx, deletedEvent, &r.Connection); err != nil {
			return err
		}
		return tell(ctx, tx, id, deleted)
	})
	if !refused(err) {
		s.cache.changed(id, deleted)
	}
	return err
}

// change changes a connection in a transaction, if the function says so.
func (s *Store) change(ctx context.Context, owner, id string, version int64,
	apply func(context.Context, *datastore.Tx, *record) (bool, error),
) (*Connection, error) {
	if !ValidID(id) {
		return nil, ErrUnknown
	}
	return s.write(ctx, id, func(ctx context.Context, tx *datastore.Tx) (*record, error) {
		if err := alone(ctx, tx, owner); err != nil {
			return nil, err
		}
		r, err := owned(ctx, tx, owner, id, version)
		if err != nil {
			return nil, err
		}
		was := r.Connection
		if differs, err := apply(ctx, tx, r); err != nil || !differs {
			return r, err
		}
		return s.put(ctx, tx, r, &was)
	})
}

// write runs a transaction that changes a connection and returns it.
func (s *Store) write(ctx context.Context, id string, f func(context.Context, *datastore.Tx) (*record, error)) (*Connection, error) {
	var changed *record
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) (err error) {
		changed, err = f(ctx, tx)
		return err
	})
	if refused(err) {
		return nil, err
	}
	if err != nil {
		s.cache.changed(id, deleted) // whatever it is now
		return nil, err
	}
	s.cache.changed(id, changed.Version)
	return changed.closed(), nil
}

// put writes what of a connection can change, with its next version, and returns it
// anew. Before, it was another one.
func (s *Store) put(ctx context.Context, tx *datastore.Tx, r *record, was *Connection) (*record, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `UPDATE connector_connections SET name = $1, variables = $2, status = $3, reason = $4, errors = $5, version = $6,
		lease_holder = $7, lease_until = $8, updated_at = $9 WHERE id = $10`,
		r.Name, r.variables, string(r.Status), r.Reason, encodeErrors(r.Errors), r.Version+1,
		r.leaseHolder, r.leaseUntil, now, r.ID)
	if err != nil {
		return nil, err
	}
	if err := tell(ctx, tx, r.ID, r.Version+1); err != nil {
		return nil, err
	}
	if err := announceStatus(ctx, tx, was, &r.Connection); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, selectByID, r.ID)
	return one(scanRecords(rows, err))
}

func (r *record) secretVersion(scheme int) int64 {
	if scheme >= len(r.sealed) {
		return 0
	}
	return r.sealed[scheme].version
}
