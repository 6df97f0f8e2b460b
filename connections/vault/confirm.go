package vault

import (
	"context"

	"github.com/f737063d/caddy-connector/datastore"
)

// Confirm makes a connection Active that is Unconfirmed. Any other stays as it is.
func (s *Store) Confirm(ctx context.Context, owner, id string) (*Connection, error) {
	return s.change(ctx, owner, id, 0, func(_ context.Context, _ *datastore.Tx, r *record) (bool, error) {
		if r.Status != Unconfirmed {
			return false, nil
		}
		r.Status = Active
		return true, nil
	})
}
