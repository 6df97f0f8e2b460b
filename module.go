// Package connector is an integration edge made of Caddy modules. This package
// holds the handler `http.handlers.connector` and imports its siblings, so that
// one import of it plugs in the whole module.
package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/f737063d/caddy-connector/internal/accesslog"
	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/copybuffer"
	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/httptransport"
	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/proxyauth"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Defaults of Handler's fields.
const (
	defaultPrefix  = "/connector"
	defaultMaxBody = 10 << 20

	// for what the transport block does not set
	defaultResponseHeaderTimeout = 30 * time.Second
	defaultTLSHandshakeTimeout   = 10 * time.Second
)

// Handler forwards `{prefix}/{service_id}/{rest}` to the Proxy URL of the
// integration with that service id, adds the integration's proxy secret and the
// id of the user, and passes the answer back. It is the edge's half of Blink's
// proxy endpoint; `proxy_secret` is the integration's.
//
// The request goes on as it came: any method but TRACE (which would echo the
// secret), the path after the service id and the query byte for byte, the body
// as a stream. It loses what is not the integration's: the caller's
// credentials, hop-by-hop headers, and every spelling of the two headers that
// the edge itself vouches for. Requests without a user are answered 401 and
// paths outside the prefix are passed on to the next handler.
//
// With `sign`, a service's requests carry a signature instead of its secret.
//
// What the edge itself answers is `application/problem+json` with a
// `Proxy-Status` header; answers of the integration have neither added.
//
// Placeholder | Description
// ------------|-------------
// `{http.connector.service_id}` | The id of the service that the request is for
// `{http.connector.upstream.latency}` | How long the integration took to answer with a header, e.g. `12.3ms`
// `{http.connector.upstream.latency_ms}` | The same in milliseconds
//
// The access log gains the fields `service_id`, `user_id` and
// `upstream_latency`.
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_connector_requests_total` | `service`, `status` (`2xx`) | Requests to known services, by class of the answer's status
// `caddy_connector_upstream_duration_seconds` | `service` | Histogram of the time until the integration's response header
// `caddy_connector_rejections_total` | `reason` | Requests that the edge answered itself; the reason is the `code` in the answer
type Handler struct {
	// The path below which services are reached, compared byte for byte.
	// Default: `/connector`.
	Prefix string `json:"prefix,omitempty"`

	// The id of the user who acts: a placeholder that only an authentication
	// handler can have set. Default: `{http.auth.user.id}`. Behind
	// `forward_auth` it is `{http.reverse_proxy.header.<name>}`, the auth
	// server's own answer.
	User string `json:"user,omitempty"`

	// The header that carries the proxy secret, sent as spelled here over
	// HTTP/1.1. Default: `blink-auth-proxysecret`.
	SecretHeader string `json:"secret_header,omitempty"`

	// The header that carries the user id, sent as spelled here over HTTP/1.1.
	// Default: `blink-auth-userid`.
	UserHeader string `json:"user_header,omitempty"`

	// Whether integrations also get the caller's `Authorization` and `Cookie`.
	// By default these authenticate the caller to the edge and stop here.
	ForwardCredentials bool `json:"forward_credentials,omitempty"`

	// The largest request body, in bytes. A larger one is answered 413.
	// Default: 10 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// How to reach the integrations: Caddy's `http` reverse proxy transport.
	// Where it does not say otherwise, `response_header_timeout` is 30s, the
	// TLS `handshake_timeout` 10s and `compression` off, so that bodies pass
	// as they are. `proxy_protocol` is not supported.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	// The integrations by service id: letters, digits, `_` and `-`, at most 64.
	Services map[string]*Service `json:"services,omitempty"`

	prefix    string // without the slash of a lone "/"
	transport *reverseproxy.HTTPTransport
	caller    caller.Source
	headers   proxyauth.Headers
	withheld  header.Set // request headers that don't go upstream as they came
	buffers   copybuffer.Pool
	server    *caddyhttp.Server // nil where it is not known
	logger    *zap.Logger
	errorLog  *log.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.connector",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the transport and the services.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	var err error
	if h.errorLog, err = zap.NewStdLogAt(h.logger, zapcore.DebugLevel); err != nil {
		return err
	}
	h.setDefaults()
	if err := checkPrefix(h.Prefix); err != nil {
		return err
	}
	h.prefix = strings.TrimSuffix(h.Prefix, "/")
	if h.caller, err = caller.NewSource(h.User, h.logger); err != nil {
		return err
	}
	if h.headers, err = proxyauth.NewHeaders(h.SecretHeader, h.UserHeader); err != nil {
		return err
	}
	h.withheld = h.headers.Set()
	if !h.ForwardCredentials {
		h.withheld = h.withheld.Union(header.NewSet("Authorization", "Cookie", "Proxy-Authorization"))
	}

	repl := caddy.NewReplacer()
	for id, service := range h.Services {
		err := service.provision(id, repl, h.logger)
		if err == nil {
			err = service.acquireStreams(h)
		}
		if err != nil {
			return fmt.Errorf("service %q: %w", id, err)
		}
	}
	if err := h.provisionTransport(ctx); err != nil {
		return err
	}
	return metrics.Register(ctx.GetMetricsRegistry(), collectors...)
}

func (h *Handler) setDefaults() {
	if h.Prefix == "" {
		h.Prefix = defaultPrefix
	}
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
}

func (h *Handler) provisionTransport(ctx caddy.Context) error {
	transport, err := httptransport.Load(ctx, h, &h.TransportRaw)
	if err != nil {
		return err
	}
	if transport.ProxyProtocol != "" {
		return fmt.Errorf("loading transport: proxy_protocol is not supported")
	}
	if transport.ResponseHeaderTimeout == 0 {
		transport.ResponseHeaderTimeout = caddy.Duration(defaultResponseHeaderTimeout)
		transport.Transport.ResponseHeaderTimeout = defaultResponseHeaderTimeout
	}
	if transport.Transport.TLSHandshakeTimeout == 0 {
		transport.Transport.TLSHandshakeTimeout = defaultTLSHandshakeTimeout
	}
	if transport.Compression == nil {
		// else net/http would ask for gzip on its own and decode it
		transport.Transport.DisableCompression = true
	}
	lendBuffers(transport.Transport, &h.buffers)
	h.transport = transport
	return nil
}

// isHTTP3 reports whether integrations are reached over HTTP/3, which a
// transport speaks alone or not at all.
func (h *Handler) isHTTP3() bool {
	return len(h.transport.Versions) == 1 && h.transport.Versions[0] == "3"
}

// Validate checks what needs no other module.
func (h *Handler) Validate() error {
	if h.MaxBody < 0 {
		return fmt.Errorf("max_body is negative: %d", h.MaxBody)
	}
	if len(h.Services) == 0 {
		return fmt.Errorf("at least one service is required")
	}
	return nil
}

// Cleanup closes the upgraded connections of services that no running config
// has any more. It also runs after a Provision that failed.
func (h *Handler) Cleanup() error {
	var errs []error
	for _, service := range h.Services {
		if service != nil {
			errs = append(errs, service.releaseStreams())
		}
	}
	return errors.Join(errs...)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	id, rest, ok := rawpath.Cut(rawpath.Of(r.URL), h.prefix)
	if !ok {
		return next.ServeHTTP(w, r)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	userID := h.caller.ID(repl)
	// the user first: who is nobody learns nothing about services
	if userID == "" {
		w.Header().Set("WWW-Authenticate", `Session realm="edge"`)
		return reject(w, errNoUser)
	}
	if !caller.ValidID(userID) {
		return reject(w, errInvalidUser)
	}
	service := h.Services[id]
	if service == nil {
		return reject(w, errUnknownService)
	}

	ex := &exchange{handler: h, service: service, userID: userID, inbound: r}
	repl.Map(ex.placeholder)
	accesslog.Add(h.server, r, ex)
	return ex.serve(w, rest)
}

// Interface guards
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
