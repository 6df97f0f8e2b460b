package subscriptions

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// errNotAgreed is what create returns for a subscription that could be kept,
// but that its target has not agreed to yet.
var errNotAgreed = errors.New("the target has not been asked")

// create keeps a new subscription. The same one again is the one that is there,
// which only expires when this one would.
func (s *Store) create(ctx context.Context, a *application, limit int) (kept *subscription, created bool, err error) {
	ring, err := s.db.KeyRing()
	if err != nil {
		return nil, false, err
	}
	a.id = newID()
	sealed := a.seal(ring, a.place())
	err = s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := begin(ctx, tx, a.owner)
		if err != nil {
			return err
		}
		if a.expiresAt != 0 && a.expiresAt <= now {
			return errExpiry
		}
		kept, err = same(ctx, tx, &a.subscription)
		if created = errors.Is(err, sql.ErrNoRows); created {
			kept = &a.subscription
			if err := tx.Remember(ctx, ring); err != nil {
				return err
			}
			return insert(ctx, tx, a, sealed, now, limit)
		}
		if err != nil || kept.expiresAt == a.expiresAt {
			return err
		}
		kept.expiresAt = a.expiresAt
		return update(ctx, tx, kept, now)
	})
	if err != nil {
		return nil, false, err
	}
	if !created {
		s.changed(kept.id) // it may have expired before
	}
	return kept, created, nil
}

// begin has the changes of one owner's subscriptions wait for each other, as all
// of them do on SQLite, and returns the time.
func begin(ctx context.Context, tx *datastore.Tx, owner string) (now int64, err error) {
	if tx.Dialect() == datastore.PostgreSQL {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('connector_subscriptions'), hashtext($1))", owner); err != nil {
			return 0, err
		}
	}
	return tx.Now(ctx)
}

// same returns another subscription that is the same to its owner, or
// sql.ErrNoRows. One that has ended is not: who subscribes again wants to be
// sent something.
func same(ctx context.Context, tx *datastore.Tx, s *subscription) (*subscription, error) {
	return scan(tx.QueryRow(ctx, "SELECT "+columns+` FROM connector_subscriptions
		WHERE owner = $1 AND target_url = $2 AND resource_type = $3 AND resource_id = $4 AND events = $5 AND status <> $6 AND id <> $7
		ORDER BY id LIMIT 1`, s.owner, s.targetURL, s.resourceType, s.resourceID, encodeEvents(s.events), statusEnded, s.id))
}

func insert(ctx context.Context, tx *datastore.Tx, a *application, sealed []byte, now int64, limit int) error {
	s := &a.subscription
	var count int
	err := tx.QueryRow(ctx, "SELECT count(*) FROM connector_subscriptions WHERE owner = $1 AND status <> $2", s.owner, statusEnded).Scan(&count)
	if err != nil {
		return err
	}
	if count >= limit {
		return errLimit
	}
	if s.signing.Handshake != "" && !a.agreed {
		return errNotAgreed
	}
	s.createdAt, s.updatedAt = now, now
	_, err = tx.Exec(ctx, "INSERT INTO connector_subscriptions ("+columns+", sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
		s.id, s.owner, s.targetURL, s.resourceType, s.resourceID, encodeEvents(s.events), s.status, number(s.ordered),
		number(s.flat), orNull(s.filter), orNull(s.signing.encode()), orNull(s.rateLimit), orNull(s.expiresAt), s.createdAt, s.updatedAt, sealed)
	return err
}

// update writes what of a subscription can change.
func update(ctx context.Context, tx *datastore.Tx, s *subscription, now int64) error {
	s.updatedAt = now
	_, err := tx.Exec(ctx, `UPDATE connector_subscriptions SET events = $1, status = $2, ordered = $3, flat = $4, filter = $5, signing = $6,
		rate_limit = $7, expires_at = $8, updated_at = $9 WHERE id = $10`, encodeEvents(s.events), s.status, number(s.ordered), number(s.flat), orNull(s.filter),
		orNull(s.signing.encode()), orNull(s.rateLimit), orNull(s.expiresAt), s.updatedAt, s.id)
	return err
}

// lock returns a subscription of an owner's that has not ended, and keeps others
// from changing it.
func lock(ctx context.Context, tx *datastore.Tx, owner, id string) (found *subscription, sealed []byte, err error) {
	query := "SELECT " + columns + ", sealed FROM connector_subscriptions WHERE id = $1 AND owner = $2" + tx.Locking("UPDATE")
	if found, err = known(scan(tx.QueryRow(ctx, query, id, owner), &sealed)); err != nil {
		return nil, nil, err
	}
	if found.status == statusEnded {
		return nil, nil, errEnded
	}
	return found, sealed, nil
}

// change changes a subscription.
func (s *Store) change(ctx context.Context, owner, id string, c change) (changed *subscription, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := begin(ctx, tx, owner)
		if err != nil {
			return err
		}
		var sealed []byte
		if changed, sealed, err = lock(ctx, tx, owner, id); err != nil {
			return err
		}
		if c.expiresAt != nil && *c.expiresAt != 0 && *c.expiresAt <= now {
			return errExpiry
		}
		c.apply(changed)
		if c.status == statusActive {
			if err := forgetHealth(ctx, tx, id); err != nil {
				return err
			}
		}
		if c.events != nil {
			switch _, err := same(ctx, tx, changed); {
			case err == nil:
				return errExists
			case !errors.Is(err, sql.ErrNoRows):
				return err
			}
		}
		if c.headers != nil {
			err = s.unseal(ctx, tx, changed, sealed, now, func(found *confidential) { found.Headers = *c.headers })
			if err != nil {
				return err
			}
		}
		return update(ctx, tx, changed, now)
	})
	if err != nil {
		return nil, err
	}
	s.changed(id)
	return changed, nil
}

// unseal changes what is sealed of a subscription.
func (s *Store) unseal(ctx context.Context, tx *datastore.Tx, of *subscription, sealed []byte, now int64, change func(*confidential)) error {
	ring, err := s.db.KeyRing()
	if err != nil {
		return err
	}
	found, err := openSealed(ring, of.place(), sealed, time.UnixMicro(now))
	if err != nil {
		return err
	}
	change(found)
	if err := tx.Remember(ctx, ring); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE connector_subscriptions SET sealed = $1 WHERE id = $2", found.seal(ring, of.place()), of.id)
	return err
}

// rotate gives a subscription a new secret, of the kind that it has. The one
// before goes on signing for a while.
func (s *Store) rotate(ctx context.Context, owner, id string) (secret signature.Secret, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := begin(ctx, tx, owner)
		if err != nil {
			return err
		}
		found, sealed, err := lock(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		secret = found.signing.newSecret()
		err = s.unseal(ctx, tx, found, sealed, now, func(c *confidential) { c.rotate(time.UnixMicro(now), secret) })
		if err != nil {
			return err
		}
		return update(ctx, tx, found, now)
	})
	if err != nil {
		return signature.Secret{}, err
	}
	s.changed(id)
	return secret, nil
}

// delete removes a subscription and cancels its deliveries.
func (s *Store) delete(ctx context.Context, owner, id string) error {
	more := false
	err := s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		removed, err := tx.Exec(ctx, "DELETE FROM connector_subscriptions WHERE id = $1 AND owner = $2", id, owner)
		if err != nil {
			return err
		}
		if n, err := removed.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return errUnknown
		}
		more, err = cancelDeliveries(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	if more {
		s.canceller.add(id)
	}
	s.changed(id)
	return nil
}
