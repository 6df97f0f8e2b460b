package credential

import (
	"net/http"
	"time"
)

const maxToken = 16 << 10

// OAuth2 is an access token. It is put where Bearer puts one, whatever the case
// of its token type; how it is got and refreshed is not this package's.
//
// The token may still be missing where it can be got without the user: then there
// is nothing to be sent yet.
type OAuth2 struct {
	// Login is whether the user's name and password are kept, to get tokens with.
	Login bool

	// Unattended is whether tokens are got without anything of the user's.
	Unattended bool
}

// Token is what a connection has from the API's authorization server.
type Token struct {
	Access  Secret
	Refresh Secret    // or none
	Expires time.Time // zero: it is not known to
	Scope   string    // as granted: a list with spaces between, or ""

	// Obtained is when the token was asked for. Zero: it is not known.
	Obtained time.Time

	// Username and Password are what tokens are got with, or none.
	Username, Password Secret
}

// Expired reports whether the token must not be sent at that time, or is missing.
func (t Token) Expired(now time.Time) bool {
	return t.Access.IsZero() || !t.Expires.IsZero() && !now.Before(t.Expires)
}

// Type implements Scheme.
func (OAuth2) Type() string { return "oauth2" }

func (OAuth2) check() error    { return nil }
func (OAuth2) claims() []claim { return authorizationClaim }

func (s OAuth2) read(m *members) applier {
	read := m.text
	if s.Login || s.Unattended {
		read = m.textOrNone
	}
	t := Token{
		Access: SecretOf(read("access_token", maxToken)), Refresh: SecretOf(m.textOrNone("refresh_token", maxToken)),
		Scope: m.textOrNone("scope", maxValue), Expires: m.second("expires_at"), Obtained: m.second("obtained_at"),
	}
	if s.Login {
		t.Username, t.Password = SecretOf(m.text("username", maxValue)), SecretOf(m.text("password", maxValue))
	}
	if field, ok := t.check(); !ok {
		m.fail(field, "has characters that it cannot have")
	}
	return oauth2{t}
}

// check names a member that can't be what an authorization server has sent, or
// that would break out of a header.
func (t Token) check() (field string, ok bool) {
	switch {
	case !isVisible(t.Access.Reveal()):
		return "access_token", false
	case !isVisible(t.Refresh.Reveal()): // some have more than VSCHAR, but none has a space
		return "refresh_token", false
	case !isClean(t.Scope):
		return "scope", false
	}
	return "", true
}

// NewOAuth2 returns the credential with that token, whose access token must not
// be missing.
func NewOAuth2(t Token) (Credential, error) {
	if t.Access.IsZero() {
		return Credential{}, &FieldError{"access_token", "is missing"}
	}
	if len(t.Access.Reveal()) > maxToken || len(t.Refresh.Reveal()) > maxToken || len(t.Scope) > maxValue {
		return Credential{}, &FieldError{"access_token", "or what came with it is too long"}
	}
	if field, ok := t.check(); !ok {
		return Credential{}, &FieldError{field, "has characters that it cannot have"}
	}
	t.Obtained = t.Obtained.Truncate(time.Second)
	if t.Expires = t.Expires.Truncate(time.Second); !t.Expires.IsZero() && t.Expires.Unix() <= 0 {
		return Credential{}, &FieldError{"expires_at", "is before 1970"}
	}
	return credentialOf(OAuth2{}.Type(), oauth2{t}), nil
}

// Token returns what is in a credential of OAuth2.
func (c Credential) Token() (Token, bool) {
	o, ok := c.reveal().applier.(oauth2)
	return o.token, ok
}

type oauth2 struct{ token Token }

func (o oauth2) apply(r *http.Request, at Attempt) error {
	if o.token.Expired(at.Now) {
		return ErrExpired
	}
	setBearer(r, o.token.Access)
	return nil
}

func (o oauth2) sent() []string { return []string{o.token.Access.Reveal()} }

func (o oauth2) form() any {
	form := struct {
		Type     string `json:"type"`
		Access   string `json:"access_token,omitempty"`
		Refresh  string `json:"refresh_token,omitempty"`
		Expires  int64  `json:"expires_at,omitempty"`
		Obtained int64  `json:"obtained_at,omitempty"`
		Scope    string `json:"scope,omitempty"`
		Username string `json:"username,omitempty"`
		Password string `json:"password,omitempty"`
	}{
		Type: OAuth2{}.Type(), Access: o.token.Access.Reveal(), Refresh: o.token.Refresh.Reveal(), Scope: o.token.Scope,
		Username: o.token.Username.Reveal(), Password: o.token.Password.Reveal(),
	}
	form.Expires, form.Obtained = seconds(o.token.Expires), seconds(o.token.Obtained)
	return form
}

// seconds is a time as it is stored.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// Interface guard
var _ Scheme = OAuth2{}
