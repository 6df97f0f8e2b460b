package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// CanRevoke reports whether the config has a URL for it.
func (c *Client) CanRevoke() bool { return c.config.RevokeURL != "" }

// Revoke makes a token void with the server (RFC 7009): the refresh token, which
// should end the whole grant, or else the access token. One that the server
// doesn't know any more is no error. If CanRevoke is false, nothing is done.
func (c *Client) Revoke(ctx context.Context, t credential.Token) error {
	token, hint := t.Refresh, "refresh_token"
	if token.IsZero() {
		token, hint = t.Access, "access_token"
	}
	if token.IsZero() || !c.CanRevoke() {
		return nil
	}
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}
	a, err := c.post(ctx, c.config.RevokeURL, form)
	if err != nil {
		return err
	}
	members, _ := a.members()
	switch {
	case a.status == http.StatusOK && !hasError(members), a.status == http.StatusNoContent: // the body says nothing
		return nil
	case a.status < 500 && text(members["error"]) == "invalid_token": // Google
		return nil
	}
	return refusal(a.status, codeOf(text(members["error"]), form)).wait(a.header, time.Now())
}
