package connections

import (
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/secret"
)

// APIKey lets a server act for an owner.
type APIKey struct {
	// A user or an organisation: 1 to 255 visible ASCII characters.
	Owner string `json:"owner"`

	// The key, best as a placeholder: at least 16 visible ASCII characters.
	Secret string `json:"secret"`
}

// TokenKey verifies tokens that a platform has signed for its users.
type TokenKey struct {
	// The public key, RSA of at least 2048 bits, in PEM; best as a placeholder
	// such as `{file./run/secrets/key.pem}`.
	PublicKey string `json:"public_key"`

	// What the tokens must name as their audience (`aud`). Default: they must have none,
	// because one that has is meant for somebody else.
	Audience string `json:"audience,omitempty"`

	key *rsa.PublicKey
}

const minKey = 16

// tokenLeeway is how much clocks may differ.
const tokenLeeway = 30 * time.Second

func (h *Handler) provisionKeys() error {
	repl := caddy.NewReplacer()
	h.keys = make(map[[32]byte]string, len(h.APIKeys))
	for i, k := range h.APIKeys {
		if k == nil {
			return fmt.Errorf("api_key %d is null", i+1)
		}
		value, err := secret.Resolve(repl, k.Secret)
		if err != nil {
			return fmt.Errorf("api_key %d: %w", i+1, err)
		}
		if secret.IsLiteral(k.Secret) {
			h.logger.Warn("an API key stands in the config as it is; use a placeholder such as {env.API_KEY}", zap.String("owner", k.Owner))
		}
		switch hash := sha256.Sum256([]byte(value.Reveal())); {
		case !caller.ValidID(k.Owner):
			return fmt.Errorf("api_key %d: the owner is not 1 to 255 visible ASCII characters", i+1)
		case len(value.Reveal()) < minKey || !caller.ValidID(value.Reveal()):
			return fmt.Errorf("api_key %d: the secret is not %d to 255 visible ASCII characters", i+1, minKey)
		case h.keys[hash] != "":
			return fmt.Errorf("api_key %d: another one has the same secret", i+1)
		default:
			h.keys[hash] = k.Owner
		}
	}
	for _, issuer := range slices.Sorted(maps.Keys(h.TokenKeys)) {
		if issuer == "" {
			return errors.New("token_key: the issuer is empty")
		}
		if err := h.TokenKeys[issuer].provision(repl); err != nil {
			return fmt.Errorf("token_key %s: %w", issuer, err)
		}
	}
	return nil
}

func (k *TokenKey) provision(repl *caddy.Replacer) error {
	if k == nil {
		return errors.New("public_key is required")
	}
	encoded, err := secret.Resolve(repl, k.PublicKey)
	if err != nil {
		return err
	}
	if k.key, err = jwt.ParseRSAPublicKeyFromPEM([]byte(encoded.Reveal())); err != nil {
		return errors.New("public_key is not an RSA public key in PEM") // the text may be a private key
	}
	if bits := k.key.N.BitLen(); bits < 2048 {
		return fmt.Errorf("public_key has %d bits: at least 2048 are needed", bits)
	}
	return nil
}

// principal is who makes a request.
type principal struct {
	owner   string // a user or an organisation
	session bool   // known by the authentication handler, as browsers are
}

// identify returns who makes a request.
func (h *Handler) identify(r *http.Request) (principal, error) {
	if len(r.Header["Authorization"]) > 1 {
		return principal{}, errToken // others may read another one of them
	}
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch credentials = strings.TrimSpace(credentials); {
	case strings.EqualFold(scheme, "Bearer") && len(h.keys) > 0:
		// compared by their hashes, a key's bytes are not found out by the time it takes
		if owner := h.keys[sha256.Sum256([]byte(credentials))]; owner != "" {
			return principal{owner: owner}, nil
		}
	case strings.EqualFold(scheme, "JWT") && len(h.TokenKeys) > 0:
		return h.userOf(credentials)
	}
	owner := h.caller.ID(r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	switch {
	case owner == "":
		return principal{}, errNoCaller
	case !caller.ValidID(owner):
		return principal{}, errCaller
	}
	return principal{owner, true}, nil
}

// userOf returns the user whose token it is (RFC 7519).
func (h *Handler) userOf(token string) (principal, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(signed *jwt.Token) (any, error) {
		_, critical := signed.Header["crit"] // what must be understood is not (RFC 7515, section 4.1.11)
		if key := h.TokenKeys[claims.Issuer]; key != nil && !critical {
			return key.key, nil
		}
		return nil, errToken
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithLeeway(tokenLeeway), jwt.WithExpirationRequired())
	if err != nil || !h.TokenKeys[claims.Issuer].isMeant(claims.Audience) || !caller.ValidID(claims.Subject) {
		return principal{}, errToken
	}
	return principal{owner: claims.Subject}, nil
}

// isMeant reports whether a token is for this edge (RFC 7519, section 4.1.3).
func (k *TokenKey) isMeant(audience []string) bool {
	if k.Audience == "" {
		return len(audience) == 0
	}
	return slices.Contains(audience, k.Audience)
}
