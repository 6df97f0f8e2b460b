package oauth

import (
	"context"
	"errors"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// Source is where the tokens of a connection come from.
type Source interface {
	// Renews reports whether there is a way from an old token to a new one without the
	// user.
	Renews(old credential.Token) bool

	// Renew gets the new one. Its errors are of the type *Error.
	Renew(ctx context.Context, old credential.Token) (credential.Token, error)
}

// Source returns the source of connections with the grant authorization_code or
// client_credentials.
func (c *Client) Source() Source { return source{client: c} }

// PasswordSource returns the source of a connection with the grant password, and
// the user's own. If its refresh token is no more, there is still the password.
func (c *Client) PasswordSource(username, password credential.Secret) Source {
	return source{c, username, password}
}

type source struct {
	client             *Client
	username, password credential.Secret
}

func (s source) Renews(old credential.Token) bool {
	return s.client.Grant() != AuthorizationCode || !old.Refresh.IsZero()
}

func (s source) Renew(ctx context.Context, old credential.Token) (credential.Token, error) {
	switch s.client.Grant() {
	case ClientCredentials:
		return s.client.ClientCredentials(ctx)
	case Password:
		if !old.Refresh.IsZero() {
			t, err := s.client.Refresh(ctx, old)
			var refused *Error
			if !errors.As(err, &refused) || refused.Kind != Reauth {
				return t, err
			}
		}
		return s.client.Password(ctx, s.username, s.password)
	}
	return s.client.Refresh(ctx, old)
}
