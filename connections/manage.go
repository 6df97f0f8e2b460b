package connections

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/internal/clientpath"
	"github.com/f737063d/caddy-connector/internal/jsonbody"
	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// How many connections a page has.
const (
	defaultPage = 20
	maxPage     = 100
)

func isCursor(text string) bool { return text == "" || vault.ValidID(text) }

func (c *call) listConnectors() (*answer, error) {
	shown := make([]connectorView, 0, len(c.handler.APIs))
	for _, name := range slices.Sorted(maps.Keys(c.handler.APIs)) {
		shown = append(shown, c.handler.APIs[name].viewConnector())
	}
	return &answer{status: http.StatusOK, body: struct {
		TotalCount int             `json:"totalCount"`
		Connectors []connectorView `json:"connectors"`
	}{len(shown), shown}}, nil
}

func (c *call) getConnector() (*answer, error) {
	return &answer{status: http.StatusOK, body: c.api.viewConnector()}, nil
}

func (c *call) create() (*answer, error) {
	o, err := c.read("name", "variables", "credentials")
	if err != nil {
		return nil, err
	}
	made := vault.New{Owner: c.owner, API: c.api.name}
	if made.Name, err = o.name(); err != nil {
		return nil, err
	}
	if made.Variables, err = o.variables(c.api.template); err != nil {
		return nil, err
	}
	if made.Secrets, err = o.credentials(c.api); err != nil {
		return nil, err
	}
	kept, err := c.handler.store.Create(c.request.Context(), made, c.handler.MaxPerOwner)
	if err != nil {
		return nil, err
	}
	c.id = kept.ID
	return &answer{status: http.StatusCreated, location: c.written() + "/" + kept.ID, body: c.api.view(kept)}, nil
}

// written returns the request's path as the client wrote it.
func (c *call) written() string { return clientpath.Of(c.request, rawpath.Of(c.request.URL)) }

func (c *call) list() (*answer, error) {
	limit, after, before, err := page(c.request)
	if err != nil {
		return nil, err
	}
	found, total, more, err := c.handler.store.List(c.request.Context(), c.owner, c.api.name, after, before, limit)
	if err != nil {
		return nil, err
	}
	body := struct {
		TotalCount  int              `json:"totalCount"`
		Next        string           `json:"next,omitempty"`
		Prev        string           `json:"prev,omitempty"`
		Connections []connectionView `json:"connections"`
	}{TotalCount: total, Connections: make([]connectionView, len(found))}
	for i, each := range found {
		body.Connections[i] = c.api.view(each)
	}
	if len(found) > 0 {
		forward := before == ""
		if more && forward || !forward {
			body.Next = found[len(found)-1].ID
		}
		if more && !forward || after != "" {
			body.Prev = found[0].ID
		}
	}
	return &answer{status: http.StatusOK, body: body}, nil
}

// known returns the connection that the path names, which is the caller's and of
// the API.
func (c *call) known() (*vault.Connection, error) {
	found, err := c.handler.store.Get(c.request.Context(), c.owner, c.id)
	if err != nil {
		return nil, err
	}
	if found.API != c.params["connector"] {
		return nil, errUnknown
	}
	return found, nil
}

func (c *call) shown(found *vault.Connection, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: c.api.view(found)}, nil
}

func (c *call) get() (*answer, error) { return c.shown(c.known()) }

// update takes the whole connection as Versori's Update Connection does: the
// variables replace all that there were; without them, these stay.
func (c *call) update() (*answer, error) {
	found, err := c.known()
	if err != nil {
		return nil, err
	}
	o, err := c.read(updateMembers...)
	if err != nil {
		return nil, err
	}
	if err := o.unchanged(c.api, found); err != nil {
		return nil, err
	}
	var change vault.Change
	name, err := o.name()
	if err != nil {
		return nil, err
	}
	change.Name = &name
	variables, err := o.variables(c.api.template)
	if err != nil {
		return nil, err
	}
	if variables != nil {
		change.Variables = &variables
	}
	return c.shown(c.handler.store.Update(c.request.Context(), c.owner, found.ID, 0, change))
}

// maxTries is how often a change is made again that met another one.
const maxTries = 5

func (c *call) updateCredential() (*answer, error) {
	found, err := c.known()
	if err != nil {
		return nil, err
	}
	scheme, err := strconv.Atoi(c.params["credential"])
	if err != nil || scheme < 0 || scheme >= len(c.api.Auth) || strconv.Itoa(scheme) != c.params["credential"] {
		return nil, errIndex
	}
	if jsonbody.MediaType(c.request) != "application/json" {
		return nil, &refusal{jsonbody.ErrMediaType}
	}
	sent, broken := problem.ReadBody(c.request, maxRequest)
	if broken != nil {
		return nil, &refusal{broken}
	}
	kept, err := c.api.credential(scheme, sent)
	switch {
	case err != nil:
		return nil, err
	case kept == nil:
		return nil, errNoCredential
	}
	return c.shown(c.handler.keep(c.request.Context(), found, scheme, kept, c.api.statusWith))
}

// keep gives a connection a credential for a scheme, and the status that it then has.
func (h *Handler) keep(ctx context.Context, found *vault.Connection, scheme int, encoded []byte,
	status func(*vault.Connection, int) vault.Status,
) (changed *vault.Connection, err error) {
	// what the status is made of must still be so
	for try := 1; ; try++ {
		changed, err = h.store.SetSecrets(ctx, found.Owner, found.ID, found.Version, scheme, encoded, status(found, scheme))
		if !errors.Is(err, vault.ErrStale) || try == maxTries {
			break
		}
		if found, err = h.store.Get(ctx, found.Owner, found.ID); err != nil {
			break
		}
	}
	if err == nil {
		h.refresher.Forget(changed.ID)
	}
	return changed, err
}

// statusWith returns how a connection is once it has a credential for a scheme from its
// owner.
func (a *API) statusWith(c *vault.Connection, scheme int) vault.Status {
	if a.oauth != nil && scheme != a.oauthScheme && (c.Status == vault.Unconfirmed || c.Status == vault.ReauthRequired) {
		return c.Status // which is about the token
	}
	for other := range a.Auth {
		if other != scheme && c.SecretVersion(other) == 0 {
			return vault.Pending
		}
	}
	return vault.Active
}

// delete deletes what a user has stored, also for an API that is not there any more.
func (c *call) delete() (*answer, error) {
	if _, err := c.known(); err != nil {
		return nil, err
	}
	ctx := c.request.Context()
	opened, err := c.handler.store.Load(ctx, c.id)
	if err != nil && !errors.Is(err, vault.ErrUnreadable) {
		return nil, err
	}
	if err := c.handler.store.Delete(ctx, c.owner, c.id); err != nil {
		return nil, err
	}
	if opened != nil {
		c.revoke(opened)
	}
	return &answer{status: http.StatusNoContent}, nil
}

// revokeTimeout is how long a deletion waits for the authorization server.
const revokeTimeout = 5 * time.Second

// revoke has the authorization server forget what a connection had from it. If that
// fails, the connection is deleted all the same.
func (c *call) revoke(deleted *vault.Connection) {
	if c.api == nil || c.api.oauth == nil {
		return
	}
	if rec, err := c.api.record(deleted); err == nil {
		c.handler.revoke(c.request, c.api, rec.Token)
	}
}

// revoke has an authorization server forget a token that nobody has any more.
func (h *Handler) revoke(r *http.Request, api *API, token credential.Token) {
	if !api.oauth.CanRevoke() || token.Access.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), revokeTimeout)
	defer cancel()
	if err := api.oauth.Revoke(ctx, token); err != nil {
		h.logger.Warn("revoking a token failed", zap.String("api", api.name), zap.Error(err))
	}
}
