package vault

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/datastore"
)

// FlowLifetime is how long a user has to finish an authorization.
const FlowLifetime = 10 * time.Minute

var flowLifetime = FlowLifetime // a variable for tests

const (
	maxFlows   = 100 // of an owner; the oldest ones make room
	maxFlow    = 64 << 10
	prunedRows = 100 // expired flows that a new one removes
)

// Flow is an authorization that a user has begun in a browser.
type Flow struct {
	StateHash   [32]byte // SHA-256 of the state
	Owner       string
	API         string
	Connection  string            // its id, or "" if it is still to be made
	BrowserHash [32]byte          // SHA-256 of the cookie of the browser in which it began
	Verifier    credential.Secret // that of PKCE
	Data        credential.Secret // what else the caller needs to go on
	RedirectURI string            // that was sent to the authorization server
	ReturnTo    string            // where the browser goes in the end
	ExpiresAt   time.Time         // set by BeginFlow
}

// sealedFlow is a Flow as it is sealed: all of it.
type sealedFlow struct {
	Owner       string   `json:"owner"`
	API         string   `json:"api"`
	Connection  string   `json:"connection,omitempty"`
	BrowserHash [32]byte `json:"browser"`
	Verifier    string   `json:"verifier,omitempty"`
	Data        string   `json:"data,omitempty"`
	RedirectURI string   `json:"redirect_uri,omitempty"`
	ReturnTo    string   `json:"return_to,omitempty"`
	ExpiresAt   int64    `json:"expires_at"`
}

var sealedFlows = datastore.SealedTable{
	Name: "connector_connection_flows", Key: "id", Bound: "owner", AdditionalData: flowPlace,
}

// flowPlace is where a flow belongs; its id has no slash.
func flowPlace(id, owner string) []byte { return []byte("connection/flow/" + id + "/" + owner) }

// BeginFlow keeps a flow for FlowLifetime, until TakeFlow takes it. If its owner has
// too many, the oldest one ends.
func (s *Store) BeginFlow(ctx context.Context, flow Flow) error {
	ring, err := s.db.KeyRing()
	if err != nil {
		return err
	}
	id := hex.EncodeToString(flow.StateHash[:])
	return s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		if err := alone(ctx, tx, flow.Owner); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if err := pruneFlows(ctx, tx, flow.Owner, now); err != nil {
			return err
		}
		expires := now + flowLifetime.Microseconds()
		plain, _ := json.Marshal(sealedFlow{ // it always encodes
			flow.Owner, flow.API, flow.Connection, flow.BrowserHash, flow.Verifier.Reveal(), flow.Data.Reveal(),
			flow.RedirectURI, flow.ReturnTo, expires,
		})
		if len(plain) > maxFlow {
			return ErrTooLarge
		}
		if err := tx.Remember(ctx, ring); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO connector_connection_flows (id, owner, sealed, expires_at) VALUES ($1, $2, $3, $4)",
			id, flow.Owner, ring.Seal(plain, flowPlace(id, flow.Owner)), expires)
		return err
	})
}

// pruneFlows removes what has expired, and makes room for one more of the owner's.
func pruneFlows(ctx context.Context, tx *datastore.Tx, owner string, now int64) error {
	_, err := tx.Exec(ctx, `DELETE FROM connector_connection_flows WHERE id IN (
		SELECT id FROM connector_connection_flows WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2`+tx.Locking("UPDATE SKIP LOCKED")+`)`,
		now, prunedRows)
	if err != nil {
		return err
	}
	offset := " LIMIT -1 OFFSET $2"
	if tx.Dialect() == datastore.PostgreSQL {
		offset = " OFFSET $2"
	}
	_, err = tx.Exec(ctx, `DELETE FROM connector_connection_flows WHERE id IN (
		SELECT id FROM connector_connection_flows WHERE owner = $1 ORDER BY expires_at DESC, id`+offset+`)`, owner, maxFlows-1)
	return err
}

// TakeFlow returns a flow and forgets it: it can be taken once, also if somebody
// tries at several nodes at the same time. If it is not there, or has expired, that is ErrUnknown.
// That it is continued by who began it, the caller must check.
func (s *Store) TakeFlow(ctx context.Context, stateHash [32]byte) (Flow, error) {
	ring, err := s.db.KeyRing()
	if err != nil {
		return Flow{}, err
	}
	id := hex.EncodeToString(stateHash[:])
	if err := s.flowExists(ctx, id); err != nil {
		return Flow{}, err
	}
	var plain []byte
	var broken error
	var now int64
	err = s.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) (err error) {
		if now, err = tx.Now(ctx); err != nil {
			return err
		}
		var owner string
		var sealed []byte
		err = tx.QueryRow(ctx, "DELETE FROM connector_connection_flows WHERE id = $1 RETURNING owner, sealed", id).Scan(&owner, &sealed)
		if err != nil {
			return err
		}
		if plain, broken = ring.Open(sealed, flowPlace(id, owner)); errors.Is(broken, datastore.ErrUnknownKey) {
			return ErrKeyMissing // it stays, for another node
		}
		return nil
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Flow{}, ErrUnknown
	}
	if err != nil {
		return Flow{}, err
	}
	if broken != nil {
		return Flow{}, ErrUnreadable
	}
	var kept sealedFlow
	if json.Unmarshal(plain, &kept) != nil { // its error may show what is in it
		return Flow{}, ErrUnreadable
	}
	if kept.ExpiresAt <= now {
		return Flow{}, ErrUnknown
	}
	return Flow{
		StateHash: stateHash, Owner: kept.Owner, API: kept.API, Connection: kept.Connection, BrowserHash: kept.BrowserHash,
		Verifier: credential.SecretOf(kept.Verifier), Data: credential.SecretOf(kept.Data),
		RedirectURI: kept.RedirectURI, ReturnTo: kept.ReturnTo, ExpiresAt: time.UnixMicro(kept.ExpiresAt).UTC(),
	}, nil
}

// flowExists returns ErrUnknown if a flow is not there. Anybody can ask for one, and those
// who guess should not keep those waiting who write.
func (s *Store) flowExists(ctx context.Context, id string) error {
	var found string
	err := s.db.QueryRow(ctx, "SELECT id FROM connector_connection_flows WHERE id = $1", id).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrUnknown
	}
	return err
}
