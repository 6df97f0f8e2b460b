package vault

import (
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
)

// sealedSecrets are the credentials of connections.
var sealedSecrets = datastore.SealedTable{
	Name: "connector_connection_secrets", Key: "id", Bound: "bound", AdditionalData: secretPlace,
}

// secretPlace is where a credential belongs. Neither an id nor what boundTo returns
// can be read in two ways.
func secretPlace(id, bound string) []byte { return []byte("connection/secret/" + id + "/" + bound) }

func secretID(connection string, scheme int) string { return connection + "/" + strconv.Itoa(scheme) }

// boundTo is what a credential is bound to, beside its id. Texts have their lengths
// before them, so that no two lists look the same.
func boundTo(owner, api string, version int64) string {
	return fmt.Sprintf("%d:%s,%d:%s,%d", len(owner), owner, len(api), api, version)
}

// place is where a credential of the connection belongs. What the database says of
// that itself is not asked.
func (r *record) place(scheme int, version int64) []byte {
	return secretPlace(secretID(r.ID, scheme), boundTo(r.Owner, r.API, version))
}

// open returns the connection with its credentials.
func (s *Store) open(r *record) (*Connection, error) {
	ring, err := s.db.KeyRing()
	if err != nil {
		return nil, err
	}
	in := &inner{secrets: make([]secret, len(r.sealed)), opened: true}
	for scheme, sealed := range r.sealed {
		if sealed.version == 0 {
			continue
		}
		plain, err := ring.Open(sealed.sealed, r.place(scheme, sealed.version))
		if err != nil {
			s.log().Error("a credential cannot be opened, so its connection cannot be used",
				zap.String("connection", r.ID), zap.Int("scheme", scheme), zap.Error(err))
			return nil, ErrUnreadable
		}
		in.secrets[scheme] = secret{sealed.version, plain}
	}
	return r.with(in), nil
}

// closed returns the connection without its credentials.
func (r *record) closed() *Connection {
	in := &inner{secrets: make([]secret, len(r.sealed))}
	for scheme, sealed := range r.sealed {
		in.secrets[scheme].version = sealed.version
	}
	return r.with(in)
}

func (r *record) with(in *inner) *Connection {
	c := r.Connection
	c.hide(in)
	return &c
}
