package proxyauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/metrics"
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
// Placeholder | Description
// ------------|-------------
// `{http.auth.user.id}` | The id of the user, from the verified user header
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_proxy_secret_requests_total` | `result` | Requests by result: `current` or `previous` (the first, or another of the secrets), `no_secret`, `bad_secret`, `repeated`, `no_user`, `bad_user`
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

	headers            Headers
	secretSet, userSet header.Set
	digests            [][sha256.Size]byte
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
		p.digests = append(p.digests, sha256.Sum256([]byte(resolved.Reveal())))
	}

	p.current, p.previous = requests.WithLabelValues("current"), requests.WithLabelValues("previous")
	return metrics.Register(ctx.GetMetricsRegistry(), requests)
}

// Authenticate implements caddyauth.Authenticator. A request without the proof
// is not an error: it is answered 401, counted, and logged with a fingerprint
// of what it presented.
func (p *Provider) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	presented, secrets := take(r.Header, p.headers.secret, p.secretSet)
	userID, users := take(r.Header, p.headers.user, p.userSet)

	match := p.match(presented)
	switch {
	case secrets == 0:
		return p.refuse(w, "no_secret", "")
	case secrets > 1 || users > 1:
		return p.refuse(w, "repeated", "")
	case match < 0:
		return p.refuse(w, "bad_secret", presented)
	case users == 0:
		return p.refuse(w, "no_user", "")
	case !ValidUserID(userID):
		return p.refuse(w, "bad_user", "")
	}

	if match == 0 {
		p.current.Inc()
	} else {
		p.previous.Inc()
	}
	r.Header.Set(p.headers.user, userID)
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

func (p *Provider) refuse(w http.ResponseWriter, result, presented string) (caddyauth.User, bool, error) {
	requests.WithLabelValues(result).Inc()
	if c := p.logger.Check(zapcore.WarnLevel, "request without valid proof"); c != nil {
		fields := []zap.Field{zap.String("result", result)}
		if presented != "" {
			fields = append(fields, zap.String("fingerprint", secret.Fingerprint(presented)))
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
