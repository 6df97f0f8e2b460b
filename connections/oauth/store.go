package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// What a Store says beside its own errors.
var (
	// ErrNotFound is for a connection that isn't there, or not any more.
	ErrNotFound = errors.New("there is no such connection")

	// ErrMoved is for a version that the record has no more.
	ErrMoved = errors.New("the record has another version")
)

// Record is what a Store has of a connection. It doesn't change: a new token is
// in a new one.
type Record struct {
	// Version is that of the token: 1 or more, and one more with each new token,
	// whether a refresh or the user has brought it.
	Version int64

	Token    credential.Token
	Obtained time.Time // when the token was asked for

	// Reauth is why the user must connect again, or "". It is about the version's
	// refresh token: a new token lifts it. Who has such a record in a cache reads it
	// again when the user has connected.
	Reauth string

	// Source is where the next token comes from. It is not stored: Load sets it.
	Source Source
}

func (r Record) renews() bool { return r.Source != nil && r.Source.Renews(r.Token) }

// Store keeps records for all nodes. Each method is atomic. Times are those of
// one clock, which is the store's.
type Store interface {
	// Load returns a connection's record, or ErrNotFound.
	Load(ctx context.Context, id string) (Record, error)

	// Lease lets an owner refresh a version for a time, unless another one may, or the
	// version is paused. Its owner can have it again. If the record has another
	// version, the error is ErrMoved.
	Lease(ctx context.Context, id string, version int64, owner string, length time.Duration) (Lease, error)

	// Save stores the token that follows a version, as version+1, and ends its lease,
	// its pause and its Reauth. Only the version counts, not the lease: a token that
	// was got is not lost because storing it took long. If the record has another
	// version, nothing is stored, and the error is ErrMoved.
	Save(ctx context.Context, id string, version int64, t credential.Token, obtained time.Time) error

	// MarkReauth sets a version's Reauth, and ends its lease. If the record has another
	// version, the error is ErrMoved.
	MarkReauth(ctx context.Context, id string, version int64, reason string) error

	// Pause turns an owner's lease of a version into a pause for all. If the owner
	// has none, nothing happens.
	Pause(ctx context.Context, id string, version int64, owner string, length time.Duration) error
}

// Lease is what a Store answers to who wants one.
type Lease struct {
	Got    bool
	Wait   time.Duration // else: until another's lease or the pause ends
	Paused bool          // it is a pause
}
