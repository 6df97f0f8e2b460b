package vault

import (
	"context"

	"github.com/f737063d/caddy-connector/datastore"
)

// Confirm says that it was the owner who has signed in for a version of the credential
// for a scheme, of so many: a connection that is Unconfirmed gets Active, or Pending if
// there is none for another. Any other stays as it is. If the credential has another
// version, somebody has signed in since, and it is ErrStale.
func (s *Store) Confirm(ctx context.Context, owner, id string, scheme int, version int64, schemes int) (*Connection, error) {
	return s.change(ctx, owner, id, 0, func(_ context.Context, _ *datastore.Tx, r *record) (bool, error) {
		switch {
		case r.secretVersion(scheme) != version:
			return false, ErrStale
		case r.Status != Unconfirmed:
			return false, nil
		}
		r.Status = Active
		for other := range schemes {
			if r.secretVersion(other) == 0 {
				r.Status = Pending
			}
		}
		if r.Status == Active {
			r.Reason = ""
		}
		return true, nil
	})
}
