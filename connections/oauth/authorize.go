package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/f737063d/caddy-connector/connections/credential"
)

const (
	randomBytes = 32 // 256 bits
	maxCode     = 4 << 10
	maxQuery    = 16 << 10
)

// ErrCallback is for an answer to an authorization that is not the server's
// answer to that authorization, or not one at all. It holds nothing of it.
var ErrCallback = errors.New("not the answer to this authorization")

// NewState returns a new state: what ties an answer to the authorization that it
// is for, and to the user who began that. It is for one use.
func NewState() string { return random() }

// NewVerifier returns a new code verifier (RFC 7636, section 4.1).
func NewVerifier() credential.Secret { return credential.SecretOf(random()) }

func random() string {
	var b [randomBytes]byte
	_, _ = rand.Read(b[:]) // it never fails: it ends the process
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// SameState compares a state that came with an answer to the one that was sent,
// in a time that doesn't tell how much of it is right. None is the same as none.
func SameState(presented, sent string) bool {
	one, other := sha256.Sum256([]byte(presented)), sha256.Sum256([]byte(sent))
	return subtle.ConstantTimeCompare(one[:], other[:]) == 1 && sent != ""
}

// Authorization is what the user is asked for.
type Authorization struct {
	State       string
	Verifier    credential.Secret
	RedirectURI string     // where the server sends the user with the answer
	Scopes      []string   // nil: those of the config
	Params      url.Values // beside those of the config, with other names
}

// AuthorizeURL returns where to send the user. Whoever gets the answer passes
// the same redirect URI and verifier to Exchange.
func (c *Client) AuthorizeURL(a Authorization) (string, error) {
	switch {
	case c.authorize == nil:
		return "", errors.New("the grant has no authorization")
	case len(a.State) < 22 || len(a.Verifier.Reveal()) < 43: // less than 128 bits, and too short for RFC 7636
		return "", errors.New("state or verifier is missing or too short")
	case a.RedirectURI == "":
		return "", errors.New("redirect_uri is missing")
	}
	if err := checkScopes(a.Scopes); err != nil {
		return "", err
	}
	if err := checkParams(a.Params, authorizeParams); err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(a.Verifier.Reveal()))
	query := cloneValues(c.config.AuthorizeParams)
	for name, values := range a.Params {
		if query.Has(name) || c.authorize.Query().Has(name) {
			return "", errors.New("a parameter is the config's own")
		}
		query[name] = values
	}
	query.Set("response_type", "code")
	query.Set("client_id", c.config.ClientID)
	query.Set("redirect_uri", a.RedirectURI)
	query.Set("state", a.State)
	query.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	query.Set("code_challenge_method", "S256")
	if scope := c.asked(a.Scopes); scope != "" {
		query.Set("scope", scope)
	}
	u := *c.authorize
	if u.RawQuery != "" { // it stays as it is written (RFC 6749, section 3.1)
		u.RawQuery += "&"
	}
	u.RawQuery += query.Encode()
	return u.String(), nil
}

// asked returns the scopes that are asked for, as they are sent.
func (c *Client) asked(scopes []string) string {
	if scopes == nil {
		scopes = c.config.Scopes
	}
	return strings.Join(scopes, " ")
}

// Callback is the answer to an authorization, as the user's browser brings it. It
// is not to be trusted until Code has checked it.
type Callback struct {
	State  string
	code   credential.Secret
	issuer string
	err    string
	hasErr bool
}

// ReadCallback reads the query of a request to the redirect URI. Of the
// parameters that count, each may be there once.
func ReadCallback(query string) (Callback, error) {
	if len(query) > maxQuery {
		return Callback{}, ErrCallback
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Callback{}, ErrCallback
	}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(values[name]) > 1 {
			return Callback{}, ErrCallback
		}
	}
	code := values.Get("code")
	if len(code) > maxCode || !isPrintable(code) || values.Get("state") == "" || (code == "") != values.Has("error") {
		return Callback{}, ErrCallback
	}
	return Callback{values.Get("state"), credential.SecretOf(code), values.Get("iss"), values.Get("error"), values.Has("error")}, nil
}

// Code returns the code of an answer, if it is the answer to the authorization
// with that state, of the server that was asked (RFC 9207). If the user or the
// server has refused, the error is an *Error; else it is ErrCallback.
func (c *Client) Code(answer Callback, state string) (credential.Secret, error) {
	switch {
	case !SameState(answer.State, state):
		return credential.Secret{}, ErrCallback
	case c.config.Issuer != "" && answer.issuer != c.config.Issuer: // as it is, without any normalisation
		return credential.Secret{}, ErrCallback
	case answer.hasErr:
		return credential.Secret{}, refusal(0, codeOf(answer.err, nil))
	}
	return answer.code, nil
}
