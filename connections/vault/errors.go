package vault

import (
	"errors"

	"github.com/f737063d/caddy-connector/datastore"
)

// What the methods of a Store return, beside datastore.ErrNotReady, the errors of
// contexts and those of the database, which are not for clients.
var (
	// ErrUnknown is for a connection, or a flow, that is not there, or not the
	// owner's.
	ErrUnknown = errors.New("there is no such connection")

	// ErrNameTaken says that the owner has another connection to the API with that
	// name.
	ErrNameTaken = errors.New("another connection to this API has this name")

	// ErrLimit says that the owner has as many connections as are allowed.
	ErrLimit = errors.New("the owner has too many connections")

	// ErrTooLarge is for a connection that is larger than what is kept.
	ErrTooLarge = errors.New("the connection is too large")

	// ErrStale says that somebody else was faster: the version is not the current one
	// any more, or the lease is somebody else's.
	ErrStale = errors.New("the connection has changed meanwhile")

	// ErrLeased says that somebody else may refresh the credential now.
	ErrLeased = errors.New("somebody else has the lease")

	// ErrPaused says that nobody may refresh the credential yet.
	ErrPaused = errors.New("nobody may have a lease yet")

	// ErrUnreadable says that a credential cannot be opened: its row was changed past
	// this program. What exactly is wrong is logged.
	ErrUnreadable = errors.New("a credential of the connection cannot be opened")

	// ErrKeyMissing is for what another node has sealed with a key that this one has
	// not been given yet. It is a datastore.ErrNotReady.
	ErrKeyMissing = datastore.ErrUnknownKey
)

// refused reports whether an error says that nothing was written. After others, of
// a commit above all, that is not known.
func refused(err error) bool {
	for _, refusal := range []error{ErrUnknown, ErrNameTaken, ErrTooLarge, ErrStale, ErrUnreadable, ErrKeyMissing} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}
