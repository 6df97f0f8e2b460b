package credential

import "net/http"

// Bearer is a token that doesn't expire, as the user has got it from the API
// (RFC 6750, section 2.1).
type Bearer struct{}

// Type implements Scheme.
func (Bearer) Type() string { return "bearer" }

func (Bearer) check() error    { return nil }
func (Bearer) claims() []claim { return authorizationClaim }

func (Bearer) read(m *members) applier {
	token := m.text("token", maxValue)
	if !isVisible(token) {
		m.fail("token", "has characters that no token has")
	}
	return bearer{SecretOf(token)}
}

type bearer struct{ token Secret }

func (b bearer) apply(r *http.Request, _ Attempt) error {
	setBearer(r, b.token)
	return nil
}

func setBearer(r *http.Request, token Secret) {
	r.Header[authorization] = []string{"Bearer " + token.Reveal()}
}

func (b bearer) sent() []string { return []string{b.token.Reveal()} }

func (b bearer) form() any {
	return struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}{Bearer{}.Type(), b.token.Reveal()}
}

// Interface guard
var _ Scheme = Bearer{}
