package receiver

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/secret"
)

// MetadataSecret is a secret that the metadata of a genuine request holds: the
// service puts it there when an account is set up, and nobody but the proxy gets
// to see it. The metadata must be a JSON object, then.
type MetadataSecret struct {
	// The member of the metadata that holds the secret, a string. Required.
	Member string `json:"member,omitempty"`

	// The secrets that are accepted. Several serve rotation: add the new one
	// here, change the metadata of the accounts, then remove the old one. Each
	// takes placeholders, as in `{env.SECRET}` or `{file./run/secrets/service}`,
	// which are resolved once, when the config is loaded; an empty one is an
	// error. At least one is required.
	Secrets []string `json:"secrets,omitempty"`

	digests []*[sha256.Size]byte // by address, so that nothing prints them
}

func (s *MetadataSecret) provision(logger *zap.Logger) error {
	if s.Member == "" {
		return fmt.Errorf("secret: the member's name is required")
	}
	if len(s.Secrets) == 0 {
		return fmt.Errorf("secret: a secret is required")
	}
	repl := caddy.NewReplacer()
	for i, configured := range s.Secrets {
		resolved, err := secret.Resolve(repl, configured)
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		plain := resolved.Reveal()
		if !utf8.ValidString(plain) {
			return fmt.Errorf("secret %d: it is not UTF-8, which no JSON can carry", i+1)
		}
		if secret.IsLiteral(configured) {
			logger.Warn("the secret can be read in the config; use {env.*} or {file.*}", zap.Int("secret", i+1))
		}
		digest := sha256.Sum256([]byte(plain))
		s.digests = append(s.digests, &digest)
	}
	return nil
}

// isIn reports whether metadata holds one of the secrets. If it has the member
// twice, other readers may see another one than we do: it does not count.
func (s *MetadataSecret) isIn(metadata string) bool {
	if !json.Valid([]byte(metadata)) || kind(metadata) != '{' {
		return false
	}
	var presented string
	count := 0
	for name, value := range children(metadata) {
		if name == s.Member {
			presented = value
			count++
		}
	}
	return count == 1 && presented[0] == '"' && s.match(unquote(presented))
}

// match reports whether a secret was presented that is one of ours. Digests have
// one length, and all of them are compared, so the time tells nothing about a
// secret or its length.
func (s *MetadataSecret) match(presented string) bool {
	digest := sha256.Sum256([]byte(presented))
	found := 0
	for _, ours := range s.digests {
		found |= subtle.ConstantTimeCompare(digest[:], ours[:])
	}
	return found == 1
}
