package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

const (
	maxAnswer = 64 << 10
	userAgent = "caddy-connector"
)

// CodeExchange is what a code is exchanged with: what its Authorization had.
type CodeExchange struct {
	Code        credential.Secret
	Verifier    credential.Secret
	RedirectURI string
	Scopes      []string // nil: those of the config
}

// Exchange gets the token for a code (RFC 6749, section 4.1.3), which is for one
// use: an error that is Transient is final, too.
func (c *Client) Exchange(ctx context.Context, e CodeExchange) (credential.Token, error) {
	return c.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {e.Code.Reveal()}, "code_verifier": {e.Verifier.Reveal()}, "redirect_uri": {e.RedirectURI},
	}, credential.Token{Scope: c.asked(e.Scopes)})
}

// Refresh gets a token in place of an old one, whose refresh token it keeps if the
// server sends no other (RFC 6749, section 6).
func (c *Client) Refresh(ctx context.Context, old credential.Token) (credential.Token, error) {
	if old.Refresh.IsZero() {
		return credential.Token{}, &Error{Kind: Reauth, Reason: "there is no refresh token"}
	}
	// no scope: it is for the same ones, and some servers refuse more than was granted
	return c.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh.Reveal()}},
		credential.Token{Refresh: old.Refresh, Scope: old.Scope})
}

// ClientCredentials gets a token for the client itself (RFC 6749, section 4.4).
func (c *Client) ClientCredentials(ctx context.Context) (credential.Token, error) {
	return c.token(ctx, c.scoped(url.Values{"grant_type": {"client_credentials"}}), credential.Token{Scope: c.asked(nil)})
}

// Password gets a token for a user's name and password (RFC 6749, section 4.3).
func (c *Client) Password(ctx context.Context, username, password credential.Secret) (credential.Token, error) {
	return c.token(ctx, c.scoped(url.Values{
		"grant_type": {"password"}, "username": {username.Reveal()}, "password": {password.Reveal()},
	}), credential.Token{Scope: c.asked(nil)})
}

// scoped adds the scopes of the config to a request of a token.
func (c *Client) scoped(form url.Values) url.Values {
	if scope := c.asked(nil); scope != "" {
		form.Set("scope", scope)
	}
	return form
}

// token sends a request of a token. What the answer leaves out is as in before.
func (c *Client) token(ctx context.Context, form url.Values, before credential.Token) (credential.Token, error) {
	for name, values := range c.config.TokenParams {
		form[name] = values
	}
	sent := time.Now() // the token's time begins before it is on its way
	a, err := c.post(ctx, c.config.TokenURL, form)
	if err != nil {
		return credential.Token{}, err
	}
	a.sent = form
	return a.token(before, sent)
}

// post sends a form with the client's authentication, and reads the answer.
func (c *Client) post(ctx context.Context, endpoint string, form url.Values) (answer, error) {
	id, secret := c.config.ClientID, c.config.ClientSecret.Reveal()
	basic := c.config.AuthStyle == AuthHeader && secret != ""
	if !basic {
		form.Set("client_id", id)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, &Error{Kind: Misconfigured, Reason: "the endpoint's URL cannot be used"}
	}
	r.Header.Set("Content-Type", formType)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", userAgent)
	if basic { // both are encoded as in a form first (RFC 6749, section 2.3.1)
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		form.Set("client_secret", secret) // it is sent, too, as far as answers are concerned
	}
	res, err := c.transport.RoundTrip(r)
	if err != nil {
		return answer{}, failed(ctx, err)
	}
	defer res.Body.Close()
	body, err := egress.ReadAll(res, maxAnswer)
	a := answer{status: res.StatusCode, header: res.Header, body: body}
	switch {
	case errors.Is(err, egress.ErrTooLarge):
		return answer{}, a.broken("the answer is too long")
	case err != nil:
		return answer{}, failed(ctx, err)
	}
	return a, nil
}

// failed returns the error for a request without an answer. The text of the cause is
// not kept: it names addresses.
func failed(ctx context.Context, err error) *Error {
	e := &Error{Kind: Transient, Reason: proxyerror.Of(err)}
	switch {
	case ctx.Err() != nil:
		e.cause = ctx.Err()
	case errors.Is(err, context.DeadlineExceeded): // the transport's own
		e.cause = context.DeadlineExceeded
	}
	switch e.Reason {
	case proxyerror.ProhibitedIP, proxyerror.TLSCertificate:
		e.Kind = Misconfigured
	case "":
		e.Reason = "the request failed"
		if errors.Is(err, io.ErrUnexpectedEOF) {
			e.Reason = proxyerror.ConnectionTerminated
		}
	}
	return e
}
