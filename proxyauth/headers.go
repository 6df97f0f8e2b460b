// Package proxyauth holds both ends of the proof that a request came through
// the edge: what writes the secret and user headers, and the authentication
// provider `http.authentication.providers.proxy_secret` that checks them.
//
// The proof is the one of Blink's proxy endpoint: a secret that the edge and one
// integration share, and beside it the id of the user who acts. In signed mode,
// which is ours, a signature made with the secret stands in its place.
package proxyauth

import (
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/secret"
)

// Default names of the two headers, spelled as Blink documents them.
const (
	DefaultSecretHeader = "blink-auth-proxysecret"
	DefaultUserHeader   = "blink-auth-userid"
)

// maxSecret is the longest secret, in bytes; Caddy's servers take 16 KiB of
// header in all.
const maxSecret = 4096

// Headers names the two headers of the proof.
type Headers struct {
	secret, user string
	set          header.Set
	covered      string // by a signature
}

// NewHeaders returns the headers with the given names, spelled as they are to
// be sent; an empty name stands for its default. A name must be a header field
// name that Caddy's servers let through: they drop names with `_` or `.`.
func NewHeaders(secretName, userName string) (Headers, error) {
	if secretName == "" {
		secretName = DefaultSecretHeader
	}
	if userName == "" {
		userName = DefaultUserHeader
	}
	for _, name := range []string{secretName, userName} {
		if err := CheckHeaderName(name); err != nil {
			return Headers{}, err
		}
	}
	if strings.EqualFold(secretName, userName) {
		return Headers{}, fmt.Errorf("the secret and the user cannot share the header %q", secretName)
	}
	return Headers{secretName, userName, header.NewSet(secretName, userName), coveredWith(userName)}, nil
}

// reserved are the fields that frame, route or sign a message; a proof cannot
// be carried in one.
var reserved = header.NewSet(
	"Connection", "Content-Length", "Expect", "Forwarded", "Host", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "CDN-Loop", "Cookie", "Content-Type", "Content-Encoding",
	digestField, inputField, signatureField,
)

// CheckHeaderName reports why name cannot carry the secret or the user.
func CheckHeaderName(name string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is not a header field name", name)
	case strings.ContainsAny(name, "_."):
		return fmt.Errorf("header %q: Caddy drops request headers with '_' or '.' in their name", name)
	case reserved.Has(name):
		return fmt.Errorf("header %q has a meaning of its own in HTTP", name)
	}
	return nil
}

// CheckSecret reports why a secret cannot be sent as a header value. The error
// does not hold the secret.
func CheckSecret(s secret.Value) error {
	plain := s.Reveal()
	switch {
	case plain == "":
		return fmt.Errorf("the secret is empty")
	case len(plain) > maxSecret:
		return fmt.Errorf("the secret is longer than %d bytes", maxSecret)
	case strings.TrimSpace(plain) != plain || !httpguts.ValidHeaderFieldValue(plain):
		return fmt.Errorf("the secret has line breaks, control characters or outer spaces, which no header can carry")
	}
	return nil
}

// Set returns the names of both headers in all their spellings. What a client
// or an upstream sends under one of them is not ours, and goes.
func (hs Headers) Set() header.Set { return hs.set }

// Write makes the proof the only headers of their names in h, spelled as
// configured (HTTP/2 sends them in lower case). Without a secret only the user
// is written. It must run after hop-by-hop headers were removed, or a client
// could name ours in its Connection header (CVE-2024-45410).
func (hs Headers) Write(h http.Header, s secret.Value, userID string) {
	hs.set.Strip(h)
	if !s.IsZero() {
		h[hs.secret] = []string{s.Reveal()}
	}
	h[hs.user] = []string{userID}
}

// find counts the values that h has under any spelling of name, and returns the
// one under the name itself, if it is the only one.
func find(h http.Header, name string, spellings header.Set) (value string, count int) {
	for key, values := range h {
		if !spellings.Has(key) {
			continue // by its length, mostly
		}
		count += len(values)
		if len(values) > 0 && strings.EqualFold(key, name) {
			value = values[0]
		}
	}
	return value, count
}

// take is find, and removes what it counts.
func take(h http.Header, name string, spellings header.Set) (value string, count int) {
	value, count = find(h, name, spellings)
	spellings.Strip(h)
	return value, count
}
