package connections

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/vault"
)

// tokens is the vault as the store of a config's refreshes.
type tokens struct{ handler *Handler }

// apiOf returns the API of a connection that has tokens.
func (t tokens) apiOf(ctx context.Context, id string) (*vault.Connection, *API, error) {
	c, err := t.handler.store.Load(ctx, id)
	if err != nil {
		return nil, nil, t.told(err)
	}
	api := t.handler.APIs[c.API]
	if api == nil || api.oauth == nil {
		return nil, nil, oauth.ErrNotFound
	}
	return c, api, nil
}

// Load implements oauth.Store.
func (t tokens) Load(ctx context.Context, id string) (oauth.Record, error) {
	c, api, err := t.apiOf(ctx, id)
	if err != nil {
		return oauth.Record{}, err
	}
	return api.record(c)
}

// record is the token of a connection.
func (a *API) record(c *vault.Connection) (oauth.Record, error) {
	read, err := a.auth.Read(a.oauthScheme, c.Secret(a.oauthScheme))
	if err != nil {
		return oauth.Record{}, oauth.ErrNotFound // it is not this API's, as the config has it now
	}
	token, _ := read.Token()
	rec := oauth.Record{Version: c.SecretVersion(a.oauthScheme), Token: token, Obtained: token.Obtained, Source: a.source(token)}
	if c.Status == vault.ReauthRequired {
		rec.Reauth = c.Reason
	}
	return rec, nil
}

// Lease implements oauth.Store.
func (t tokens) Lease(ctx context.Context, id string, version int64, owner string, length time.Duration) (oauth.Lease, error) {
	_, api, err := t.apiOf(ctx, id)
	if err != nil {
		return oauth.Lease{}, err
	}
	wait, err := t.handler.store.Lease(ctx, id, api.oauthScheme, version, owner, length)
	switch {
	case errors.Is(err, vault.ErrLeased):
		return oauth.Lease{Wait: wait}, nil
	case errors.Is(err, vault.ErrPaused):
		return oauth.Lease{Wait: wait, Paused: true}, nil
	}
	return oauth.Lease{Got: err == nil}, t.told(err)
}

// Save implements oauth.Store.
func (t tokens) Save(ctx context.Context, id string, version int64, token credential.Token, obtained time.Time) error {
	c, api, err := t.apiOf(ctx, id)
	if err != nil {
		return err
	}
	old, err := api.record(c)
	if err != nil {
		return err
	}
	token.Obtained, token.Username, token.Password = obtained, old.Token.Username, old.Token.Password
	made, err := credential.NewOAuth2(token)
	if err != nil {
		return err
	}
	encoded, err := made.Encode()
	if err != nil {
		return err
	}
	_, err = t.handler.store.Save(ctx, id, api.oauthScheme, version, vault.AnyHolder, encoded)
	return t.told(err)
}

// MarkReauth implements oauth.Store.
func (t tokens) MarkReauth(ctx context.Context, id string, version int64, reason string) error {
	_, api, err := t.apiOf(ctx, id)
	if err != nil {
		return err
	}
	_, err = t.handler.store.MarkReauth(ctx, id, api.oauthScheme, version, vault.AnyHolder, reason)
	return t.told(err)
}

// Pause implements oauth.Store.
func (t tokens) Pause(ctx context.Context, id string, _ int64, owner string, length time.Duration) error {
	err := t.handler.store.Release(ctx, id, owner, length)
	if errors.Is(err, vault.ErrStale) {
		return nil
	}
	return t.told(err)
}

// told is what a refresh is told of an error of the vault's.
func (t tokens) told(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vault.ErrUnknown):
		return oauth.ErrNotFound
	case errors.Is(err, vault.ErrStale):
		return oauth.ErrMoved
	}
	t.handler.logger.Warn("refreshing an access token: the database failed", zap.Error(err))
	return err
}

// session is what the attempts at one request know of the access token.
type session struct {
	refresher *oauth.Refresher
	id        string // of the connection
	ready     *ready

	force   bool                    // get another token first
	put     []credential.Credential // into the last attempt
	sent    oauth.Record            // likewise
	refused int64                   // the version of one that the API has refused
}

// credentials returns what is to be sent in an attempt, with an access token that is
// valid. A fresh one costs no lock and no I/O.
func (s *session) credentials(ctx context.Context) (_ []credential.Credential, err error) {
	s.put, err = s.next(ctx)
	return s.put, err
}

func (s *session) next(ctx context.Context) ([]credential.Credential, error) {
	api := s.ready.api
	if api.oauth == nil {
		return s.ready.credentials, nil
	}
	rec, err := s.token(ctx)
	if err != nil {
		return nil, err
	}
	s.sent = rec
	if rec.Version == s.ready.token.Version {
		return s.ready.credentials, nil
	}
	made, err := credential.NewOAuth2(rec.Token)
	if err != nil {
		return nil, err
	}
	credentials := slices.Clone(s.ready.credentials)
	credentials[api.oauthScheme] = made
	return credentials, nil
}

func (s *session) token(ctx context.Context) (oauth.Record, error) {
	switch {
	case s.refused != 0:
		return s.refresher.Replace(ctx, s.id, s.refused)
	case s.force && s.sent.Version == 0:
		return s.refresher.Force(ctx, s.id)
	}
	return s.refresher.Token(ctx, s.id, s.ready.token)
}

// refuse reports whether an answer says that the access token is not known any
// more, and there can be another one. The next attempt has that; there is one such
// attempt.
func (s *session) refuse(status int) bool {
	if s.ready.api.oauth == nil || status != http.StatusUnauthorized || s.refused != 0 || !s.sent.Source.Renews(s.sent.Token) {
		return false
	}
	s.refused = s.sent.Version
	return true
}
