package oauthtest

import (
	"context"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/models"
)

// client is the one that the server has.
type client struct{ id, secret string }

// GetByID implements oauth2.ClientStore.
func (c client) GetByID(_ context.Context, id string) (oauth2.ClientInfo, error) {
	if id != c.id {
		return nil, errors.ErrInvalidClient
	}
	return &models.Client{ID: c.id, Secret: c.secret}, nil
}

// grants are the tokens, by the grant that they are of: a sign-in and all that
// came of it. The Server's lock is around all calls.
type grants struct {
	codes, access, refresh map[string]oauth2.TokenInfo

	of     map[string]int       // the grant of a token
	used   map[string]time.Time // when refresh tokens were
	leeway time.Duration        // in which they may be used again
	now    int                  // the grant that new tokens are of
	last   int
	reuses int
}

func newGrants(leeway time.Duration) *grants {
	g := &grants{leeway: leeway}
	g.revokeAll()
	return g
}

// begin begins a request, with a refresh token or "". One that was used revokes
// its grant, unless that was just now.
func (g *grants) begin(refresh string) {
	g.last++
	g.now = g.last
	grant, known := g.of[refresh]
	if !known {
		return
	}
	g.now = grant
	if at, used := g.used[refresh]; used {
		g.reuses++
		if time.Since(at) >= g.leeway {
			g.end(grant)
		}
	}
}

// revoke revokes an access token, or a refresh token and its grant.
func (g *grants) revoke(token string) {
	delete(g.access, token)
	if g.refresh[token] != nil {
		g.end(g.of[token])
	}
}

// end makes all tokens of a grant void. It is still known whose they were.
func (g *grants) end(grant int) {
	for token, of := range g.of {
		if of == grant {
			delete(g.access, token)
			delete(g.refresh, token)
		}
	}
}

func (g *grants) revokeAll() {
	g.codes, g.access, g.refresh = make(map[string]oauth2.TokenInfo), make(map[string]oauth2.TokenInfo), make(map[string]oauth2.TokenInfo)
	g.of, g.used = make(map[string]int), make(map[string]time.Time)
}

// Create implements oauth2.TokenStore.
func (g *grants) Create(_ context.Context, info oauth2.TokenInfo) error {
	if code := info.GetCode(); code != "" {
		g.codes[code] = info
		return nil
	}
	kept := *info.(*models.Token) // the library changes it when it refreshes
	g.access[kept.Access], g.of[kept.Access] = &kept, g.now
	if kept.Refresh != "" {
		g.refresh[kept.Refresh], g.of[kept.Refresh] = &kept, g.now
	}
	return nil
}

// RemoveByCode implements oauth2.TokenStore.
func (g *grants) RemoveByCode(_ context.Context, code string) error {
	delete(g.codes, code)
	return nil
}

// RemoveByAccess implements oauth2.TokenStore.
func (g *grants) RemoveByAccess(_ context.Context, access string) error {
	delete(g.access, access)
	return nil
}

// RemoveByRefresh implements oauth2.TokenStore. Within the leeway, the token is
// still there.
func (g *grants) RemoveByRefresh(_ context.Context, refresh string) error {
	if g.leeway == 0 {
		delete(g.refresh, refresh)
	}
	if _, again := g.used[refresh]; !again { // the leeway is counted from the first use
		g.used[refresh] = time.Now()
	}
	return nil
}

// GetByCode implements oauth2.TokenStore.
func (g *grants) GetByCode(_ context.Context, code string) (oauth2.TokenInfo, error) {
	return copyOf(g.codes[code]), nil
}

// GetByAccess implements oauth2.TokenStore.
func (g *grants) GetByAccess(_ context.Context, access string) (oauth2.TokenInfo, error) {
	return copyOf(g.access[access]), nil
}

// GetByRefresh implements oauth2.TokenStore.
func (g *grants) GetByRefresh(_ context.Context, refresh string) (oauth2.TokenInfo, error) {
	return copyOf(g.refresh[refresh]), nil
}

func copyOf(info oauth2.TokenInfo) oauth2.TokenInfo {
	if info == nil {
		return nil
	}
	clone := *info.(*models.Token)
	return &clone
}

// Interface guards
var (
	_ oauth2.ClientStore = client{}
	_ oauth2.TokenStore  = (*grants)(nil)
)
