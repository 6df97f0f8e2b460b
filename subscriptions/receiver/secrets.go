package receiver

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/internal/secret"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

func (h *Handler) provisionSecrets() error {
	if len(h.Secrets) == 0 {
		return fmt.Errorf("a secret is required")
	}
	repl := caddy.NewReplacer()
	for i, configured := range h.Secrets {
		resolved, err := secret.Resolve(repl, configured)
		if err == nil {
			err = h.addSecret(resolved, i+1)
		}
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		if secret.IsLiteral(configured) && !isPublic(configured) {
			h.logger.Warn("the secret can be read in the config; use {env.*} or {file.*}", zap.Int("secret", i+1))
		}
	}
	return nil
}

func (h *Handler) addSecret(resolved secret.Value, number int) error {
	if h.HubSignature {
		hubSecret, err := signature.ParseHubSecret(resolved.Reveal())
		if err != nil {
			return err
		}
		if len(resolved.Reveal()) < sha256.Size { // RFC 2104, section 3
			h.logger.Warn("the secret is short: who sees a signed request can try to guess it; use 32 random characters or more", zap.Int("secret", number))
		}
		h.hubSecrets = append(h.hubSecrets, hubSecret)
		return nil
	}
	key, err := signature.ParseVerifier(resolved.Reveal())
	if err != nil {
		return err
	}
	h.keys = append(h.keys, key)
	h.identities = append(h.identities, resolved.Map(identityOf))
	return nil
}

func isPublic(configured string) bool {
	_, err := signature.ParsePublicKey(configured)
	return err == nil
}

// identities tell the secrets apart, in the same way over config reloads.
type identities []secret.Value

// identityOf returns the same for both spellings of a secret.
func identityOf(plain string) string {
	sum := sha256.Sum256([]byte(strings.TrimPrefix(plain, "whsec_")))
	return string(sum[:])
}

// of returns what to remember of a webhook: its id and timestamp, for each of
// the secrets. For the one that it was verified with is not enough: of a webhook
// with two signatures, who sends it again could leave out either.
func (ids identities) of(got webhook) []replay.Key {
	keys := make([]replay.Key, len(ids))
	for i, identity := range ids {
		sum := sha256.Sum256([]byte(identity.Reveal() + got.id + "." + got.timestamp))
		copy(keys[i][:], sum[:])
	}
	return keys
}
