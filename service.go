package connector

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/loopback"
	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/internal/secret"
	"github.com/f737063d/caddy-connector/proxyauth"
)

// Service is one integration.
type Service struct {
	// Where the integration is reached: an absolute http or https URL, with or
	// without a base path. The rest of the request's path is appended to it.
	// It takes placeholders, resolved once, when the config is loaded.
	ProxyURL string `json:"proxy_url,omitempty"`

	// The secret that proves to the integration that a request came through the
	// edge. It takes placeholders, as in `{env.SALES_PROXY_SECRET}` or
	// `{file./run/secrets/sales}`, which are resolved once, when the config is
	// loaded; an empty one is an error. Default: none, no secret is sent.
	ProxySecret string `json:"proxy_secret,omitempty"`

	// Whether requests are signed with the secret instead of carrying it, which
	// `proxy_secret` with `signed` verifies. Their bodies are held in memory, up
	// to 1 MiB; larger ones are answered 413. Default: false.
	Sign bool `json:"sign,omitempty"`

	id         string
	proxyURL   *url.URL
	basePath   string // escaped, as configured
	secret     secret.Value
	loopMark   []string // one; the field's value where there is no other
	metrics    serviceMetrics
	streams    *streams
	streamsKey [sha256.Size]byte
}

// serviceID is also what keeps one service from having two spellings: it is
// compared with the raw path segment.
var serviceID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func checkServiceID(id string) error {
	if !serviceID.MatchString(id) {
		return fmt.Errorf("service id %q: it must be 1 to 64 letters, digits, '_' or '-'", id)
	}
	return nil
}

// parseProxyURL returns what a Proxy URL without placeholders means.
func parseProxyURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// the parser's own text would repeat a password in the URL
		return nil, errors.New("proxy URL: it cannot be parsed")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("proxy URL: it must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("proxy URL: it has no host")
	case u.User != nil:
		return nil, errors.New("proxy URL: it must not have a user or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return nil, errors.New("proxy URL: it must not have a query or fragment")
	case rawpath.Of(u) != u.EscapedPath():
		return nil, errors.New("proxy URL: its path is not percent-encoded")
	}
	if err := rawpath.Check(rawpath.Of(u)); err != nil {
		return nil, fmt.Errorf("proxy URL: %w", err)
	}
	return u, nil
}

func (s *Service) provision(id string, repl *caddy.Replacer, logger *zap.Logger) error {
	if s == nil {
		return errors.New("proxy_url is required")
	}
	if err := checkServiceID(id); err != nil {
		return err
	}
	s.id = id
	raw, err := repl.ReplaceOrErr(s.ProxyURL, true, true)
	if err != nil {
		return fmt.Errorf("proxy URL: %w", err)
	}
	if raw == "" {
		return errors.New("proxy_url is required")
	}
	if s.proxyURL, err = parseProxyURL(raw); err != nil {
		return err
	}
	s.basePath = rawpath.Of(s.proxyURL)
	s.loopMark = []string{loopMark(id, s.proxyURL)}

	if s.ProxySecret == "" {
		if s.Sign {
			return errors.New("sign needs a proxy_secret")
		}
		return nil
	}
	if s.secret, err = secret.Resolve(repl, s.ProxySecret); err == nil {
		err = proxyauth.CheckSecret(s.secret)
	}
	if err != nil {
		return fmt.Errorf("proxy_secret: %w", err)
	}
	if secret.IsLiteral(s.ProxySecret) {
		logger.Warn("the proxy secret can be read in the config; use {env.*} or {file.*}", zap.String("service_id", id))
	}
	if !s.Sign && s.proxyURL.Scheme == "http" && !loopback.IsHost(s.proxyURL.Hostname()) {
		logger.Warn("the proxy secret is sent without TLS", zap.String("service_id", id))
	}
	return nil
}

// loopMark is the member that the edge adds to CDN-Loop (RFC 8586), and by which
// it knows a request that it has already forwarded to this service. It is made
// of the service alone, so that the nodes of a cluster, which share one config,
// know each other's marks; an edge of somebody else, with a service of the same
// id, has another mark.
func loopMark(id string, proxyURL *url.URL) string {
	sum := sha256.Sum256([]byte(id + "\x00" + proxyURL.String()))
	return "caddy-connector; s=" + hex.EncodeToString(sum[:8])
}
