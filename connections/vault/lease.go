package vault

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// AnyHolder stands for whoever has the lease, if anybody, so that the version alone
// decides. No holder has this name.
const AnyHolder = "*"

// Lease gives somebody, whose name the holder is, the right to refresh the credential
// for a scheme, for some time by the database's clock. The version is that of
// the credential, 0 for one that is to be the first.
//
// It is ErrStale if the credential has another version, ErrUnknown if the connection
// is gone, ErrLeased if another holder has the connection's lease, and ErrPaused if
// nobody may have it yet, both with the time until that ends by itself. The holder may
// prolong its own.
func (s *Store) Lease(ctx context.Context, id string, scheme int, version int64, holder string, lasts time.Duration) (wait time.Duration, err error) {
	if !ValidID(id) {
		return 0, ErrUnknown
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		r, err := lock(ctx, tx, id)
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if r.secretVersion(scheme) != version {
			return ErrStale
		}
		if r.leaseHolder != holder && r.leaseUntil > now {
			wait = time.Duration(r.leaseUntil-now) * time.Microsecond
			if r.leaseHolder == "" {
				return ErrPaused
			}
			return ErrLeased
		}
		wait = 0
		_, err = tx.Exec(ctx, "UPDATE connector_connections SET lease_holder = $1, lease_until = $2 WHERE id = $3",
			holder, now+lasts.Microseconds(), id)
		return err
	})
	return wait, err
}

// Save stores the credential that the holder of a lease has got in exchange for the
// one of that version, makes the connection Active if it was Pending or ReauthRequired,
// and ends the lease. It is ErrStale if the credential has another version, or
// somebody else has got the lease; for AnyHolder, the latter does not count. A lease that
// has only ended is no reason to lose a token. What it returns has the credentials.
func (s *Store) Save(ctx context.Context, id string, scheme int, version int64, holder string, plain []byte) (*Connection, error) {
	if scheme < 0 || scheme >= maxSchemes || len(plain) > maxSecret {
		return nil, ErrTooLarge
	}
	ring, err := s.db.KeyRing()
	if err != nil {
		return nil, err
	}
	var saved *Connection
	_, err = s.refresh(ctx, id, scheme, version, holder, func(ctx context.Context, tx *datastore.Tx, r *record) error {
		// it is bound to the connection as that was when the old one was bound to it
		if _, err := s.open(r); err != nil {
			return err
		}
		if r.Status == Pending || r.Status == ReauthRequired {
			r.Status, r.Reason = Active, ""
		}
		return putSecret(ctx, tx, ring, r, scheme, version+1, plain)
	}, func(r *record) (err error) {
		saved, err = s.open(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return saved, nil
}

// MarkReauth says that the credential of that version is of no use any more: the user
// must connect again, if the connection is Active or Pending. It ends the lease. Its
// errors are those of Save.
func (s *Store) MarkReauth(ctx context.Context, id string, scheme int, version int64, holder, reason string) (*Connection, error) {
	if len(reason) > maxText {
		return nil, ErrTooLarge
	}
	return s.refresh(ctx, id, scheme, version, holder, func(_ context.Context, _ *datastore.Tx, r *record) error {
		if r.Status == Active || r.Status == Pending {
			r.Status, r.Reason = ReauthRequired, reason
		}
		return nil
	}, nil)
}

// refresh ends a lease with a change.
func (s *Store) refresh(ctx context.Context, id string, scheme int, version int64, holder string,
	apply func(context.Context, *datastore.Tx, *record) error, finish func(*record) error,
) (*Connection, error) {
	if !ValidID(id) {
		return nil, ErrUnknown
	}
	return s.write(ctx, id, func(ctx context.Context, tx *datastore.Tx) (*record, error) {
		r, err := lock(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if r.secretVersion(scheme) != version || holder != AnyHolder && r.leaseHolder != holder {
			return nil, ErrStale
		}
		was := r.Connection
		if err := apply(ctx, tx, r); err != nil {
			return nil, err
		}
		r.leaseHolder, r.leaseUntil = "", 0
		if r, err = s.put(ctx, tx, r, &was); err != nil || finish == nil {
			return r, err
		}
		return r, finish(r)
	})
}

// Release ends a lease without a new credential. For the time of the pause, nobody
// gets one: after a failure, the authorization server is left alone by all nodes.
// It is ErrStale if the lease is not the holder's any more.
func (s *Store) Release(ctx context.Context, id, holder string, pause time.Duration) error {
	if !ValidID(id) {
		return ErrUnknown
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		released, err := tx.Exec(ctx, "UPDATE connector_connections SET lease_holder = '', lease_until = $1 WHERE id = $2 AND lease_holder = $3",
			now+pause.Microseconds(), id, holder)
		if err != nil {
			return err
		}
		if n, err := released.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrStale)
		}
		return tell(ctx, tx, id, unchanged)
	})
	if err == nil {
		s.cache.changed(id, unchanged)
	}
	return err
}

// waitCheck is how often a waiter looks by itself, in case it was told nothing; a
// variable for tests.
var waitCheck = 2 * time.Second

// Wait returns when it is worth while to Load a connection: when the credential for
// the scheme has not that version any more, or nobody has a lease. It is ErrUnknown
// when the connection is gone. On other nodes it is told of that.
func (s *Store) Wait(ctx context.Context, id string, scheme int, version int64) error {
	next, end := s.cache.watch(id)
	defer end()
	for {
		woken := next()
		done, err := s.settled(ctx, id, scheme, version)
		if done || err != nil {
			return err
		}
		select {
		case <-woken:
		case <-time.After(waitCheck):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) settled(ctx context.Context, id string, scheme int, version int64) (bool, error) {
	var holder string
	var current int64
	err := s.db.QueryRow(ctx, `SELECT c.lease_holder, coalesce(s.version, 0) FROM connector_connections AS c
		LEFT JOIN connector_connection_secrets AS s ON s.id = $1 WHERE c.id = $2`, secretID(id, scheme), id).Scan(&holder, &current)
	if errors.Is(err, sql.ErrNoRows) {
		return false, ErrUnknown
	}
	return holder == "" || current != version, err
}
