// Package connections holds the handler `http.handlers.connections`, which calls
// third-party APIs with the credentials that users have stored for them.
package connections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/copybuffer"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/pace"
	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/internal/secret"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Defaults of Handler's fields.
const (
	defaultPrefix      = "/api"
	defaultMaxBody     = 32 << 20
	defaultMaxPerOwner = 1000
)

// Handler calls third-party APIs as a user. A connection is what a user has
// stored for an API: variables of its base URL, and credentials.
//
// `{prefix}/proxy/v1/{connection_id}/{path}` goes to the connection's API, with
// its credentials put in: GET, POST, PUT, PATCH and DELETE, the path and the
// query byte for byte, the body as a stream. What authenticates the caller here
// stops here, and so do trailers, upgrades, and `X-Forwarded-*`: the API learns
// nothing of the caller. These headers, with the prefix `X-Connector-` or
// `X-Versori-`, say more, and are not forwarded:
//
//   - `Connection-Variable`: form-urlencoded values of variables that are
//     `overridable`, for this request. It may be repeated; the later value wins.
//   - `Ignore-Headers`: names, with commas between them, of headers that are not
//     forwarded either.
//   - `Override-Base-Url`: another base URL, on one of the hosts of
//     `allow_base_url`.
//   - `Force-Refresh-Credential`: `true` has the access token refreshed first.
//
// A request that can be repeated (by its method, or an `Idempotency-Key`) and has
// a body of at most 64 KiB of known length is sent up to twice again when the API
// is away or answers 429, 502, 503 or 504, within ten seconds, as `Retry-After`
// asks. Redirects are not followed. An API has 30 seconds to begin its answer, and
// 60 seconds for each next piece of it.
//
// The answer is the API's, without what would act on the edge's own origin in a
// browser: `Set-Cookie`, `Access-Control-*` and the like; HTML gets `nosniff` and
// a sandbox. What its header repeats of a credential, in plain, percent-encoded or
// in base64, is replaced by `REDACTED`; its body is not looked at. What the edge itself answers is `application/problem+json` with a
// `Proxy-Status` header, which the API's answers never have in its name.
//
// Callers are the user that an authentication handler has set, or have an
// `Authorization` of their own: `Bearer` and an API key of an owner, who then is
// the caller, or `JWT` and a user's token, signed with RS256 by one of the
// `token_keys`, whose `sub` is the user. It must have an `exp`, and no `aud` but that
// of the config. Connections of others are answered like those that do not exist.
//
// Placeholder | Description
// ------------|-------------
// `{http.connections.id}` | The id of the connection that the request is for
// `{http.connections.api}` | The name of its API
// `{http.connections.owner}` | Whose it is
//
// The access log gains the fields `connection`, `api` and `upstream_latency`.
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_connections_requests_total` | `api`, `status` (`2xx`) | Requests to APIs, by class of the answer's status
// `caddy_connections_upstream_duration_seconds` | `api` | Histogram of the time until the API's response header, retries included
// `caddy_connections_retries_total` | `api` | Attempts after the first
// `caddy_connections_api_requests_total` | `operation` (`list_connectors`, `get_connector`, `create`, `list`, `get`, `update`, `update_credential`, `delete`, `test`, `test_connector`, `describe`), `status` (`2xx`) | Requests to the API of connections, by class of the answer's status
// `caddy_connections_rejections_total` | `reason` | Requests that the edge answered itself; the reason is the `code` in the answer
type Handler struct {
	// The path that the paths of this handler begin with, compared byte for byte.
	// Default: `/api`.
	Prefix string `json:"prefix,omitempty"`

	// The id of the user: a placeholder that only an authentication handler can
	// have set. Default: `{http.auth.user.id}`.
	User string `json:"user,omitempty"`

	// Where users reach the edge, such as `https://edge.example.com`: an API's sign-in
	// page sends them back there. Required if an API has `oauth2` with the grant
	// `authorization_code`.
	PublicURL string `json:"public_url,omitempty"`

	// URLs that users may be sent to when they have signed in: as a whole, without a
	// placeholder. Who has begun with a user's session may be sent to paths of the
	// edge's own, too.
	ReturnTo []string `json:"return_to,omitempty"`

	// Keys of callers that are servers. Each may use all connections of its owner.
	APIKeys []*APIKey `json:"api_keys,omitempty"`

	// Keys that sign tokens of users, by the issuer that the tokens name, such as
	// `https://platform.example/sk/key1`.
	TokenKeys map[string]*TokenKey `json:"token_keys,omitempty"`

	// Third-party APIs, by name: `a` to `z`, `A` to `Z`, digits, `_` and `-`, at most 64.
	// At least one is required.
	APIs map[string]*API `json:"apis,omitempty"`

	// The largest request body, in bytes. A larger one is answered 413. Default:
	// 32 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// How many connections an owner may have. More are answered 409. Default: 1000.
	MaxPerOwner int `json:"max_per_owner,omitempty"`

	base       string // what all paths begin with
	origin     string // PublicURL, without a slash behind it
	proxyPath  string // what paths of the proxy begin with
	managePath string // and those of the API
	caller     caller.Source
	keys       map[[32]byte]string // owners, by the hash of their keys
	store      *vault.Store
	transport  *egress.Transport // the guarded way out
	refresher  *oauth.Refresher
	clients    clients // those with client certificates
	tests      *pace.Pace
	testing    sync.Map        // owners who have an API tested against its document
	document   json.RawMessage // what describes the API
	buffers    copybuffer.Pool
	proxy      *httputil.ReverseProxy
	server     *caddyhttp.Server // nil where it is not known
	logger     *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.connections",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler. The database is opened when the app `connector`
// starts.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	h.setDefaults()
	if err := checkPrefix(h.Prefix); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	h.tests = pace.New(testPace)
	h.base = strings.TrimSuffix(h.Prefix, "/")
	h.proxyPath, h.managePath = h.base+"/proxy/v1", h.base+"/connect/v1"
	if err := h.provisionURLs(); err != nil {
		return err
	}
	var err error
	if h.caller, err = caller.NewSource(h.User, h.logger); err != nil {
		return err
	}
	if err := h.provisionKeys(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(h.APIs)) {
		if err := h.APIs[name].provision(name); err != nil {
			return fmt.Errorf("api %s: %w", name, err)
		}
		if err := h.APIs[name].provisionDocument(h.logger); err != nil {
			return fmt.Errorf("api %s: openapi: %w", name, err)
		}
		if h.APIs[name].isExposed() {
			h.logger.Warn("credentials are sent to an API without TLS", zap.String("api", name))
		}
	}
	h.document = h.describe()
	app, err := datastore.Of(ctx)
	if err != nil {
		return err
	}
	h.transport = app.Transport()
	h.clients.base = h.transport
	if err := h.provisionOAuth(); err != nil {
		return err
	}
	errorLog, err := zap.NewStdLogAt(h.logger, zap.DebugLevel)
	if err != nil {
		return err
	}
	h.proxy = newProxy(&h.buffers, errorLog)
	if h.store, err = vault.Open(ctx, h.logger); err != nil {
		return err
	}
	app.Work(h.resume)
	return metrics.Register(ctx.GetMetricsRegistry(), collectors...)
}

// refreshPatience is how long a config that ends waits for tokens that a server is
// being asked for.
const refreshPatience = 15 * time.Second

// provisionOAuth makes the clients of authorization servers.
func (h *Handler) provisionOAuth() error {
	for _, name := range slices.Sorted(maps.Keys(h.APIs)) {
		api := h.APIs[name]
		if err := api.provisionOAuth(h.transport); err != nil {
			return fmt.Errorf("api %s: %w", name, err)
		}
		if api.oauth != nil && secret.IsLiteral(api.Auth[api.oauthScheme].OAuth2.ClientSecret) {
			h.logger.Warn("a client secret stands in the config as it is; use a placeholder such as {env.CLIENT_SECRET}", zap.String("api", name))
		}
		if api.oauth != nil && api.oauth.Grant() == oauth.AuthorizationCode && h.PublicURL == "" {
			return fmt.Errorf("api %s: %w", name, errNoPublicURL)
		}
	}
	h.refresher = oauth.NewRefresher(tokens{h})
	return nil
}

func (h *Handler) setDefaults() {
	if h.Prefix == "" {
		h.Prefix = defaultPrefix
	}
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
	if h.MaxPerOwner == 0 {
		h.MaxPerOwner = defaultMaxPerOwner
	}
}

// Validate checks what needs no other module.
func (h *Handler) Validate() error {
	switch {
	case h.MaxBody < 0:
		return fmt.Errorf("max_body is negative: %d", h.MaxBody)
	case h.MaxPerOwner < 0:
		return fmt.Errorf("max_per_owner is negative: %d", h.MaxPerOwner)
	case len(h.APIs) == 0:
		return errors.New("at least one api is required")
	}
	return nil
}

// Cleanup lets go of the store. It also runs after a Provision that failed.
func (h *Handler) Cleanup() error {
	h.clients.close()
	if h.refresher != nil {
		ctx, cancel := context.WithTimeout(context.Background(), refreshPatience)
		defer cancel()
		h.refresher.Settle(ctx)
	}
	if h.store == nil {
		return nil
	}
	return h.store.Close()
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path := rawpath.Of(r.URL)
	if id, rest, ok := rawpath.Cut(path, h.proxyPath); ok {
		h.forward(w, r, id, rest)
		return nil
	}
	if below, ok := strings.CutPrefix(path, h.managePath); ok {
		if h.browse(w, r, below) {
			return nil
		}
		if to, params := find(below); to != nil {
			h.manage(w, r, to, params)
			return nil
		}
	}
	return next.ServeHTTP(w, r)
}

// checkPrefix refuses what can be no beginning of a request's path.
func checkPrefix(path string) error {
	if !rawpath.IsLiteral(path) {
		return fmt.Errorf("'%s' is not a path that begins with a slash, without placeholders", path)
	}
	return nil
}

// newProxy returns the standard library's proxy. Each request's own part is the
// exchange in its context.
func newProxy(buffers httputil.BufferPool, errorLog *log.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { exchangeOf(pr.In.Context()).rewrite(pr) },
		Transport:      attempts{},
		BufferPool:     buffers,
		ErrorLog:       errorLog,
		ModifyResponse: func(res *http.Response) error { return exchangeOf(res.Request.Context()).answered(res) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			exchangeOf(r.Context()).fail(r.Context(), err)
		},
	}
}

// Interface guards
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
