package vault

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
)

// Status says whether a connection can be used.
type Status string

// The statuses of connections.
const (
	Active         Status = "active"
	Pending        Status = "pending"         // a credential is missing: an authorization is not finished
	Unconfirmed    Status = "unconfirmed"     // somebody has signed in, but not surely the owner
	ReauthRequired Status = "reauth_required" // the user must connect again
)

// Connection is a snapshot of a connection, which is never changed: nor may be what
// it holds. Whatever prints it gets no credential, and so does whatever encodes
// it.
type Connection struct {
	ID        string // a ULID, 26 characters
	Owner     string // a user or an organisation
	API       string // the name in the config
	Name      string // unique among those of the owner to the API
	Variables map[string]string
	Status    Status
	Reason    string   // a short code: why the user must connect again, or had to and has not quite
	Errors    []string // what the last test found; nil: there was none, empty: nothing
	Version   int64    // one more with each change
	CreatedAt time.Time
	UpdatedAt time.Time

	// Two pointers keep fmt from following them; see package credential.
	inner **inner
}

type inner struct {
	secrets []secret // by scheme
	opened  bool
	memo    atomic.Value
}

// secret is a credential. Its version is 0 where there is none.
type secret struct {
	version int64
	plain   []byte
}

func (c *Connection) hide(in *inner) { c.inner = &in }

func (c *Connection) secret(scheme int) secret {
	if c.inner == nil || scheme < 0 || scheme >= len((*c.inner).secrets) {
		return secret{}
	}
	return (*c.inner).secrets[scheme]
}

// Secrets returns how many schemes there are a credential for, counting those that
// are missing before the last one.
func (c *Connection) Secrets() int {
	if c.inner == nil {
		return 0
	}
	return len((*c.inner).secrets)
}

// Secret returns the encoded credential for the scheme with that index. It is nil if
// there is none, and in a snapshot without credentials.
func (c *Connection) Secret(scheme int) []byte { return bytes.Clone(c.secret(scheme).plain) }

// SecretVersion returns the version of a credential, or 0 if there is none. Other
// than that of the connection, it is one more only if the credential has changed.
func (c *Connection) SecretVersion(scheme int) int64 { return c.secret(scheme).version }

// Opened reports whether the snapshot has the credentials.
func (c *Connection) Opened() bool { return c.inner != nil && (*c.inner).opened }

// Memo returns where the caller may keep what it has made of this snapshot, such as
// the decoded credentials. All that is stored there must have one type. It is empty
// in each new snapshot.
func (c *Connection) Memo() *atomic.Value { return &(*c.inner).memo }

// Format implements fmt.Formatter, so that no verb prints a credential.
func (c Connection) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "connection %q of %q to %q (%s, version %d, credentials REDACTED)", c.ID, c.Owner, c.API, c.Status, c.Version)
}

// ValidID reports whether a text can be a connection's id.
func ValidID(text string) bool {
	parsed, err := ulid.ParseStrict(text)
	if err != nil {
		return false
	}
	var encoded [ulid.EncodedSize]byte
	return parsed.MarshalTextTo(encoded[:]) == nil && string(encoded[:]) == text // in capitals only
}

// size is about how many bytes of memory it takes, with what the memo may hold.
func (c *Connection) size() int {
	n := 512 + len(c.ID) + len(c.Owner) + len(c.API) + len(c.Name) + len(c.Reason)
	for name, value := range c.Variables {
		n += 64 + len(name) + len(value)
	}
	for _, text := range c.Errors {
		n += 16 + len(text)
	}
	for _, s := range (*c.inner).secrets {
		n += 128 + 2*len(s.plain)
	}
	return n
}

// Interface guard
var _ fmt.Formatter = Connection{}
