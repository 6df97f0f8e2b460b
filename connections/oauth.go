package connections

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/secret"
)

// OAuth2 is what the edge is with an API's authorization server.
type OAuth2 struct {
	// `authorization_code`, which is the default: the user signs in at the API;
	// `client_credentials`: there are no users; or `password`: the edge keeps the
	// user's name and password.
	Grant string `json:"grant,omitempty"`

	// Where the user signs in; with `authorization_code` only.
	AuthorizeURL string `json:"authorize_url,omitempty"`

	// Where tokens are got. It is dialled as `egress` lets it be.
	TokenURL string `json:"token_url"`

	// Where tokens are revoked when a connection is deleted (RFC 7009). Default:
	// they are not.
	RevokeURL string `json:"revoke_url,omitempty"`

	// What the API's authorization server knows the edge by.
	ClientID string `json:"client_id"`

	// The secret for that, best as a placeholder. Default: none, for a public client.
	ClientSecret string `json:"client_secret,omitempty"`

	// How the two are sent: `header`, which is the default, or `body`. It is never
	// found out by trying.
	AuthStyle string `json:"auth_style,omitempty"`

	// What to ask for. Default: what the server gives without.
	Scopes []string `json:"scopes,omitempty"`

	// What the server calls itself (RFC 9207). With it, answers that don't say so are
	// refused.
	Issuer string `json:"issuer,omitempty"`

	// Parameters to add to the URL where the user signs in, such as `prompt`.
	AuthorizeParams map[string]string `json:"authorize_params,omitempty"`

	// Parameters to add to requests of a token, such as `audience`.
	TokenParams map[string]string `json:"token_params,omitempty"`
}

// config is what the client is made of, without its secret.
func (o *OAuth2) config() oauth.Config {
	return oauth.Config{
		Grant: o.Grant, AuthorizeURL: o.AuthorizeURL, TokenURL: o.TokenURL, RevokeURL: o.RevokeURL, ClientID: o.ClientID,
		AuthStyle: o.AuthStyle, Scopes: o.Scopes, Issuer: o.Issuer, AuthorizeParams: values(o.AuthorizeParams), TokenParams: values(o.TokenParams),
	}
}

// check checks all but the secret.
func (o *OAuth2) check() error {
	config := o.config()
	if o.ClientSecret != "" {
		config.ClientSecret = credential.SecretOf("placeholder")
	}
	_, err := oauth.New(config, nil)
	return err
}

func (o *OAuth2) scheme() credential.OAuth2 {
	return credential.OAuth2{Login: o.Grant == oauth.Password, Unattended: o.Grant == oauth.ClientCredentials}
}

func values(pairs map[string]string) url.Values {
	params := make(url.Values, len(pairs))
	for name, value := range pairs {
		params.Set(name, value)
	}
	return params
}

// provisionOAuth makes the client of an API that has one.
func (a *API) provisionOAuth(transport *egress.Transport) error {
	a.oauthScheme = slices.IndexFunc(a.Auth, func(s *Scheme) bool { return s.OAuth2 != nil })
	if a.oauthScheme < 0 {
		return nil
	}
	configured := a.Auth[a.oauthScheme].OAuth2
	config := configured.config()
	if configured.ClientSecret != "" {
		value, err := secret.Resolve(caddy.NewReplacer(), configured.ClientSecret)
		if err != nil {
			return fmt.Errorf("client_secret: %w", err)
		}
		config.ClientSecret = credential.SecretOf(value.Reveal())
	}
	var err error
	if a.oauth, err = oauth.New(config, transport); err != nil {
		return fmt.Errorf("auth oauth2: %w", err)
	}
	return nil
}

// source returns where tokens of a connection come from.
func (a *API) source(t credential.Token) oauth.Source {
	if a.oauth.Grant() == oauth.Password {
		return a.oauth.PasswordSource(t.Username, t.Password)
	}
	return a.oauth.Source()
}

// errNoPublicURL is for a config in which users cannot come back.
var errNoPublicURL = errors.New("public_url is required: users come back there from an API with oauth2")
