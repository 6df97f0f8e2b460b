package credential

import (
	"encoding/base64"
	"net/http"
	"strings"
)

const authorization = "Authorization"

var authorizationClaim = []claim{{inHeader, authorization}}

// Basic is a user and password (RFC 7617, in UTF-8).
type Basic struct{}

// Type implements Scheme.
func (Basic) Type() string { return "basic" }

func (Basic) check() error    { return nil }
func (Basic) claims() []claim { return authorizationClaim }

func (Basic) read(m *members) applier {
	// APIs that take a key in this way leave one of both empty
	username, password := m.textOrNone("username", maxValue/2), m.textOrNone("password", maxValue/2)
	switch {
	case username == "" && password == "":
		m.fail("password", "is missing")
	case strings.Contains(username, ":") || !isClean(username):
		m.fail("username", "has a colon or control characters")
	case !isClean(password):
		m.fail("password", "has control characters")
	}
	return basic{SecretOf(username), SecretOf(password)}
}

type basic struct{ username, password Secret }

func (b basic) apply(r *http.Request, _ Attempt) error {
	encoded := base64.StdEncoding.EncodeToString([]byte(b.username.Reveal() + ":" + b.password.Reveal()))
	r.Header[authorization] = []string{"Basic " + encoded}
	return nil
}

// sent is the password, or, where there is none to speak of, the username: then
// that is the key.
func (b basic) sent() []string {
	if len(b.password.Reveal()) < minHidden {
		return []string{b.username.Reveal()}
	}
	return []string{b.password.Reveal()}
}

func (b basic) form() any {
	return struct {
		Type     string `json:"type"`
		Username string `json:"username"`
		Password string `json:"password"`
	}{Basic{}.Type(), b.username.Reveal(), b.password.Reveal()}
}

// Interface guard
var _ Scheme = Basic{}
