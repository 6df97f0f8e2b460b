package vault

import (
	"context"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// readTimeout bounds a read that callers share, which none of their contexts ends.
const readTimeout = 10 * time.Second

// Find returns a connection with its credentials, or ErrUnknown, ErrUnreadable or
// ErrKeyMissing.
// It is for requests: from memory, if it is there. Whose it is, the caller must
// check.
func (s *Store) Find(ctx context.Context, id string) (*Connection, error) {
	if e := s.cache.get(id); e != nil {
		return e.connection, e.err
	}
	if !ValidID(id) {
		return nil, ErrUnknown
	}
	f := s.cache.fly(id, func() entry {
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		defer cancel()
		e := entry{at: elapsed()}
		e.connection, e.err = s.read(ctx, id)
		return e
	})
	select {
	case <-f.done:
		return f.connection, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Load is Find past the memory: what the database has now.
func (s *Store) Load(ctx context.Context, id string) (*Connection, error) {
	if !ValidID(id) {
		return nil, ErrUnknown
	}
	c, err := s.read(ctx, id)
	switch {
	case err == nil:
		s.cache.changed(id, c.Version)
	case errors.Is(err, ErrUnknown):
		s.cache.changed(id, deleted)
	}
	return c, err
}

func (s *Store) read(ctx context.Context, id string) (*Connection, error) {
	readsTotal.Inc()
	rows, err := s.db.Query(ctx, selectByID, id)
	r, err := one(scanRecords(rows, err))
	if err != nil {
		return nil, err
	}
	return s.open(r)
}

// Get returns a connection of an owner's, without credentials. Another owner's is
// ErrUnknown, as one that is not there.
func (s *Store) Get(ctx context.Context, owner, id string) (*Connection, error) {
	if !ValidID(id) {
		return nil, ErrUnknown
	}
	rows, err := s.db.Query(ctx, selectByOwner, id, owner)
	r, err := one(scanRecords(rows, err))
	if err != nil {
		return nil, err
	}
	return r.closed(), nil
}

// List returns a page of an owner's connections to an API, or to all if that is
// empty, without credentials: the first ones behind the id after, or else the last
// ones before the id before, in the order in which they were made. total is how
// many there are in all, and more whether the page is not the last one in its direction.
func (s *Store) List(ctx context.Context, owner, api, after, before string, limit int) (page []*Connection, total int, more bool, err error) {
	where, args := " WHERE owner = $1", []any{owner}
	if api != "" {
		where, args = where+" AND api = $2", append(args, api)
	}
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM connector_connections"+where, args...).Scan(&total); err != nil {
		return nil, 0, false, err
	}
	beyond, position, order := " AND id > ", after, " ORDER BY id"
	if after == "" && before != "" {
		beyond, position, order = " AND id < ", before, " ORDER BY id DESC"
	}
	args = append(args, position, limit+1)
	from := "(SELECT * FROM connector_connections" + where + beyond + argument(len(args)-1) + order + " LIMIT " + argument(len(args)) + ")"
	rows, err := s.db.Query(ctx, selectRecords(from)+" ORDER BY c.id", args...)
	found, err := scanRecords(rows, err)
	if err != nil {
		return nil, 0, false, err
	}
	if more = len(found) > limit; more {
		if order == " ORDER BY id" {
			found = found[:limit]
		} else {
			found = found[1:]
		}
	}
	for _, r := range found {
		page = append(page, r.closed())
	}
	return page, total, more, nil
}

func argument(n int) string { return "$" + string(rune('0'+n)) }

// owned is lock for a connection of an owner's, at a version if that is not 0.
func owned(ctx context.Context, tx *datastore.Tx, owner, id string, version int64) (*record, error) {
	r, err := lock(ctx, tx, id)
	switch {
	case err != nil:
		return nil, err
	case r.Owner != owner:
		return nil, ErrUnknown
	case version != 0 && r.Version != version:
		return nil, ErrStale
	}
	return r, nil
}
