package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/internal/loopback"
)

// The grants that a Config can have. All of them may come with a refresh token.
const (
	AuthorizationCode = "authorization_code"
	ClientCredentials = "client_credentials"
	Password          = "password"
)

// How a client authenticates to the token endpoint (RFC 6749, section 2.3.1).
const (
	AuthHeader = "header" // HTTP Basic, of the encoded id and secret
	AuthBody   = "body"   // as client_id and client_secret
)

// Config is what a client knows of the authorization server, and what the server
// knows it by.
type Config struct {
	// Grant is authorization_code (default), client_credentials or password.
	Grant string

	// AuthorizeURL is where the user is sent, for authorization_code only. It may have a
	// query.
	AuthorizeURL string

	// TokenURL is where tokens are got. It may have a query.
	TokenURL string

	// RevokeURL is where tokens are revoked, or "".
	RevokeURL string

	// ClientID is the client's id with the server.
	ClientID string

	// ClientSecret is the client's secret, or none: a public client, which sends its
	// id in the body. The grant client_credentials needs one.
	ClientSecret credential.Secret

	// AuthStyle is header (default) or body. It is never found out by trying: a second
	// try would send a refresh token twice.
	AuthStyle string

	// Scopes are asked for. None: what the server gives by default.
	Scopes []string

	// AuthorizeParams are added to the authorize URL, and TokenParams to each request
	// of a token, such as audience, prompt or resource. None may be one that the
	// protocol has.
	AuthorizeParams, TokenParams url.Values

	// Issuer is what the server calls itself in answers to an authorization
	// (RFC 9207), which then must have it, or "".
	Issuer string
}

// Client gets tokens from one authorization server. It can be used by several
// goroutines.
type Client struct {
	config    Config
	authorize *url.URL // nil: the grant has none
	transport http.RoundTripper
}

// New returns a client that sends its requests by a transport, which must not
// follow redirects and should set a deadline where a context has none.
func New(c Config, transport http.RoundTripper) (*Client, error) {
	if c.Grant == "" {
		c.Grant = AuthorizationCode
	}
	if c.AuthStyle == "" {
		c.AuthStyle = AuthHeader
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.Scopes = slices.Clone(c.Scopes)
	c.AuthorizeParams, c.TokenParams = cloneValues(c.AuthorizeParams), cloneValues(c.TokenParams)
	client := &Client{config: c, transport: transport}
	if c.AuthorizeURL != "" {
		client.authorize, _ = url.Parse(c.AuthorizeURL) // it is checked
	}
	return client, nil
}

// Grant returns the grant of its config.
func (c *Client) Grant() string { return c.config.Grant }

func (c *Config) check() error {
	switch {
	case c.Grant != AuthorizationCode && c.Grant != ClientCredentials && c.Grant != Password:
		return errors.New("grant must be authorization_code, client_credentials or password")
	case c.AuthStyle != AuthHeader && c.AuthStyle != AuthBody:
		return errors.New("auth_style must be header or body")
	case c.ClientID == "":
		return errors.New("client_id is missing")
	case !isPrintable(c.ClientID) || !isPrintable(c.ClientSecret.Reveal()):
		return errors.New("client_id and client_secret must be of printable ASCII characters")
	case c.Grant == ClientCredentials && c.ClientSecret.IsZero():
		return errors.New("client_secret is missing: client_credentials is for clients that have one")
	case c.Grant != AuthorizationCode && (c.AuthorizeURL != "" || len(c.AuthorizeParams) > 0 || c.Issuer != ""):
		return fmt.Errorf("the grant %s has no authorization: authorize_url, its parameters and issuer are not for it", c.Grant)
	}
	if err := checkScopes(c.Scopes); err != nil {
		return err
	}
	if c.Issuer != "" {
		if u, err := checkURL("issuer", c.Issuer); err != nil {
			return err
		} else if u.RawQuery != "" || u.ForceQuery {
			return errors.New("issuer must have no query")
		}
	}
	return c.checkEndpoints()
}

// checkEndpoints checks the URLs, and what is sent to them beside what the protocol has.
func (c *Config) checkEndpoints() error {
	for _, endpoint := range []struct {
		name, url string
		needed    bool
		params    url.Values
		own       []string
	}{
		{"authorize", c.AuthorizeURL, c.Grant == AuthorizationCode, c.AuthorizeParams, authorizeParams},
		{"token", c.TokenURL, true, c.TokenParams, tokenParams},
		{"revoke", c.RevokeURL, false, nil, revokeParams},
	} {
		if endpoint.url == "" && !endpoint.needed {
			continue
		}
		u, err := checkURL(endpoint.name+"_url", endpoint.url)
		if err != nil {
			return err
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			return fmt.Errorf("%s_url has a query that cannot be parsed", endpoint.name)
		}
		if err := checkParams(query, endpoint.own); err != nil {
			return fmt.Errorf("%s_url: %w", endpoint.name, err)
		}
		if err := checkParams(endpoint.params, endpoint.own); err != nil {
			return fmt.Errorf("%s parameters: %w", endpoint.name, err)
		}
		for name := range endpoint.params {
			if query.Has(name) {
				return fmt.Errorf("%s parameters: %s is in the URL, too", endpoint.name, name)
			}
		}
	}
	return nil
}

// The parameters that the protocol has for each endpoint. A request object would
// take the place of all the others (RFC 9101).
var (
	authorizeParams = []string{
		"client_id", "client_secret", "code_challenge", "code_challenge_method", "redirect_uri", "request", "request_uri", "response_type", "scope", "state",
	}
	tokenParams = []string{
		"client_id", "client_secret", "code", "code_verifier", "grant_type", "password", "redirect_uri", "refresh_token", "scope", "username",
	}
	revokeParams = []string{"client_id", "client_secret", "token", "token_type_hint"}
)

func checkParams(params url.Values, own []string) error {
	for name := range params {
		switch {
		case name == "":
			return errors.New("one has no name")
		case slices.Contains(own, name):
			return fmt.Errorf("%s is the protocol's own", name)
		}
	}
	return nil
}

// checkURL checks the URL of an endpoint (RFC 6749, section 3). Errors do not
// repeat it: its query may hold a key.
func checkURL(name, raw string) (*url.URL, error) {
	if raw == "" {
		return nil, fmt.Errorf("%s is missing", name)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, fmt.Errorf("%s is not a URL with a host", name)
	case u.User != nil:
		return nil, fmt.Errorf("%s must have no user or password; use client_id and client_secret", name)
	case strings.Contains(raw, "#"):
		return nil, fmt.Errorf("%s must have no fragment", name)
	case u.Scheme == "http" && !loopback.IsHost(u.Hostname()):
		return nil, fmt.Errorf("%s must begin with https://; http:// is for loopback only", name)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%s must begin with https://", name)
	}
	return u, nil
}

// IsScope reports whether a text can be a scope (RFC 6749, section 3.3).
func IsScope(text string) bool {
	return text != "" && isPrintable(text) && !strings.ContainsAny(text, ` "\`)
}

func checkScopes(scopes []string) error {
	for _, scope := range scopes {
		if !IsScope(scope) {
			return errors.New("a scope must be of visible ASCII characters, without quotes and backslashes")
		}
	}
	return nil
}

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

func cloneValues(values url.Values) url.Values {
	clone := make(url.Values, len(values))
	for name, list := range values {
		clone[name] = slices.Clone(list)
	}
	return clone
}
