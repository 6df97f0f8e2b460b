package proxyauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/internal/secret"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider authenticates requests that came through the edge: they carry a
// secret that only the edge and this site know, and the id of the user who
// acts. Anything else is answered 401.
//
// A request passes with exactly one secret header whose value is one of the
// secrets, and exactly one user header with 1 to 255 visible ASCII characters.
// Behind the provider the request has the user header, which can be trusted
// there, and no secret header. When the proof fails and another provider of the
// same handler lets the request pass, it has neither; but Caddy asks providers
// in no fixed order, and does not ask on, so go by the placeholder there.
//
// In signed mode the secret is never sent. Each request is signed with it
// (RFC 9421, HTTP Message Signatures, hmac-sha256), and passes once, within 5
// minutes of its signing, with the method, path, query, user id and body that
// were signed; nothing on the way may change them. Other headers are not signed,
// the Host neither, so give each integration a secret of its own. Bodies are held
// in memory, up to 1 MiB, and arrive without trailers; what follows an upgrade, as
// to WebSocket, is not signed. Used signatures are remembered in memory, over
// config reloads but not over a restart, by each process for itself; with more
// than 1,048,576 of them in the last minutes, requests are refused. Behind the
// provider the fields `Content-Digest`, `Signature` and `Signature-Input` are gone.
//
// Placeholder | Description
// ------------|-------------
// `{http.auth.user.id}` | The id of the user, from the verified user header
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_proxy_secret_requests_total` | `result` | Requests by result: `current` or `previous` (the first, or another of the secrets), `no_secret`, `bad_secret`, `repeated`, `no_user`, `bad_user`; in signed mode also `unsigned` (no signature, or a secret beside it), `bad_signature` (not of our form, by none of the secrets, or of another request), `expired` (signed more than 5 minutes ago or ahead), `bad_digest` (another body than was signed, an unreadable one, or more than 1 MiB), `replayed`, `replay_cache_full`
type Provider struct {
	// The secrets that are accepted. Several serve rotation: add the new one
	// here, change the edge, then remove the old one. Each takes placeholders,
	// as in `{env.PROXY_SECRET}` or `{file./run/secrets/proxy}`, which are
	// resolved once, when the config is loaded; an empty one is an error.
	// At least one is required.
	Secrets []string `json:"secrets,omitempty"`

	// The header that carries the secret. Default: `blink-auth-proxysecret`.
	SecretHeader string `json:"secret_header,omitempty"`

	// The header that carries the user id. Default: `blink-auth-userid`.
	UserHeader string `json:"user_header,omitempty"`

	// Whether a request must be signed with one of the secrets instead of
	// carrying it. The edge must sign, then; a request with the secret in it is
	// refused. Default: false.
	Signed bool `json:"signed,omitempty"`

	headers            Headers
	secretSet, userSet header.Set
	userKey            string // the user header's canonical name
	digests            [][sha256.Size]byte
	keys               []signingKey // in signed mode
	replays            *replay.Cache
	now                func() time.Time
	current, previous  prometheus.Counter
	logger             *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authentication.providers.proxy_secret",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Provision resolves the secrets.
func (p *Provider) Provision(ctx caddy.Context) error {
	p.logger = ctx.Logger()
	var err error
	if p.headers, err = NewHeaders(p.SecretHeader, p.UserHeader); err != nil {
		return err
	}
	p.secretSet, p.userSet = header.NewSet(p.headers.secret), header.NewSet(p.headers.user)
	p.userKey = http.CanonicalHeaderKey(p.headers.user)
	p.replays, p.now = replays, time.Now

	if len(p.Secrets) == 0 {
		return fmt.Errorf("a secret is required")
	}
	repl := caddy.NewReplacer()
	for i, configured := range p.Secrets {
		resolved, err := secret.Resolve(repl, configured)
		if err == nil {
			err = CheckSecret(resolved)
		}
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		if secret.IsLiteral(configured) {
			p.logger.Warn("the secret can be read in the config; use {env.*} or {file.*}", zap.Int("secret", i+1))
		}
		p.addSecret(resolved, i+1)
	}

	p.current, p.previous = requests.WithLabelValues("current"), requests.WithLabelValues("previous")
	return metrics.Register(ctx.GetMetricsRegistry(), requests)
}

func (p *Provider) addSecret(resolved secret.Value, number int) {
	plain := resolved.Reveal()
	if !p.Signed {
		p.digests = append(p.digests, sha256.Sum256([]byte(plain)))
		return
	}
	if len(plain) < sha256.Size { // RFC 2104, section 3
		p.logger.Warn("the secret is short: who sees a signed request can try to guess it; use 32 random characters or more", zap.Int("secret", number))
	}
	p.keys = append(p.keys, signingKey{secret.Fingerprint(plain), resolved})
}

// Authenticate implements caddyauth.Authenticator. A request without the proof
// is not an error: it is answered 401, counted, and logged with a fingerprint
// of what it presented.
func (p *Provider) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	if p.Signed {
		return p.authenticateSigned(w, r)
	}
	presented, secrets := take(r.Header, p.headers.secret, p.secretSet)
	userID, users := find(r.Header, p.headers.user, p.userSet)

	match := p.match(presented)
	switch {
	case secrets == 0:
		return p.refuse(w, r, "no_secret", "")
	case secrets > 1 || users > 1:
		return p.refuse(w, r, "repeated", "")
	case match < 0:
		return p.refuse(w, r, "bad_secret", fingerprint(presented))
	case users == 0:
		return p.refuse(w, r, "no_user", "")
	case !caller.ValidID(userID):
		return p.refuse(w, r, "bad_user", "")
	}

	return p.accept(r, match, userID)
}

// accept lets a request pass whose proof was made with the secret of index
// match.
func (p *Provider) accept(r *http.Request, match int, userID string) (caddyauth.User, bool, error) {
	if match == 0 {
		p.current.Inc()
	} else {
		p.previous.Inc()
	}
	if _, canonical := r.Header[p.userKey]; !canonical {
		p.userSet.Strip(r.Header)
		r.Header.Set(p.userKey, userID)
	}
	return caddyauth.User{ID: userID}, true, nil
}

// match returns which of the secrets was presented, or -1. Digests have one
// length, and all of them are compared, so the time tells nothing about a
// secret or its length.
func (p *Provider) match(presented string) int {
	digest := sha256.Sum256([]byte(presented))
	found := -1
	for i := range p.digests {
		equal := subtle.ConstantTimeCompare(digest[:], p.digests[i][:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	return found
}

// fingerprint is that of a presented secret, if there was one.
func fingerprint(presented string) string {
	if presented == "" {
		return ""
	}
	return secret.Fingerprint(presented)
}

func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, result, fingerprint string) (caddyauth.User, bool, error) {
	p.userSet.Strip(r.Header)
	requests.WithLabelValues(result).Inc()
	if c := p.logger.Check(zapcore.WarnLevel, "request without valid proof"); c != nil {
		fields := []zap.Field{zap.String("result", result)}
		if fingerprint != "" {
			fields = append(fields, zap.String("fingerprint", fingerprint))
		}
		c.Write(fields...)
	}
	w.Header().Set("WWW-Authenticate", `Proxy-Secret realm="edge"`)
	return caddyauth.User{}, false, nil
}

// Interface guards
var (
	_ caddy.Module            = (*Provider)(nil)
	_ caddy.Provisioner       = (*Provider)(nil)
	_ caddyauth.Authenticator = (*Provider)(nil)
)
