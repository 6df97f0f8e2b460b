package vault

import (
	"context"
	"crypto/sha256"
	"errors"
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
// before them, so that no two lists look the same. The variables are there because
// they say where the credential is sent.
func boundTo(owner, api, variables string, version int64) string {
	return fmt.Sprintf("%d:%s,%d:%s,%x,%d", len(owner), owner, len(api), api, sha256.Sum256([]byte(variables)), version)
}

// place is where a credential of the connection belongs. What the database says of
// that itself is not asked.
func (r *record) place(scheme int, version int64) []byte {
	return secretPlace(secretID(r.ID, scheme), r.bound(version))
}

func (r *record) bound(version int64) string { return boundTo(r.Owner, r.API, r.variables, version) }

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
			return nil, unopened(err)
		}
		in.secrets[scheme] = secret{sealed.version, plain}
	}
	return r.with(in), nil
}

// unopened is what is returned for an error of the key ring's.
func unopened(err error) error {
	if errors.Is(err, datastore.ErrUnknownKey) {
		return ErrKeyMissing
	}
	return ErrUnreadable
}

// bind gives the connection other variables, and binds its credentials to them.
func (s *Store) bind(ctx context.Context, tx *datastore.Tx, r *record, variables map[string]string) error {
	ring, err := s.db.KeyRing()
	if err != nil {
		return err
	}
	opened, err := s.open(r)
	if err != nil {
		return err
	}
	r.Variables, r.variables = variables, encodeVariables(variables)
	for scheme, sealed := range r.sealed {
		if sealed.version == 0 {
			continue
		}
		if err := putSecret(ctx, tx, ring, r, scheme, sealed.version, opened.secret(scheme).plain); err != nil {
			return err
		}
	}
	return nil
}

// putSecret writes a credential with its version.
func putSecret(ctx context.Context, tx *datastore.Tx, ring *datastore.KeyRing, of *record, scheme int, version int64, plain []byte) error {
	if err := tx.Remember(ctx, ring); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO connector_connection_secrets (id, connection_id, scheme, version, bound, sealed)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE
		SET connection_id = excluded.connection_id, scheme = excluded.scheme, version = excluded.version, bound = excluded.bound, sealed = excluded.sealed`,
		secretID(of.ID, scheme), of.ID, scheme, version, of.bound(version), ring.Seal(plain, of.place(scheme, version)))
	return err
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
