// Package anychannel holds the handler `http.handlers.any_channel` and the
// ticket sources of its namespace `http.any_channel.tickets`.
package anychannel

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/accesslog"
	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/rawpath"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Defaults of Handler's fields.
const (
	defaultPath    = "/api/v2/any_channel/proxy.json"
	defaultTimeout = 10 * time.Second
	defaultMaxBody = 1 << 20
)

// Handler lets an app in a helpdesk post to an integration service with the
// credentials of the integration instance that a ticket belongs to, which the
// app never sees. It is the edge's half of Zendesk's authenticating proxy;
// `any_channel_service` is the integration service's.
//
// The app sends `POST {path}?ticket_id=<id>&post_to_path=<URL>` with a JSON body
// or none. The edge finds the ticket's instance, if this agent may see the
// ticket, and resolves `post_to_path` against the integration's manifest. There
// it sends one POST with exactly two parameters, `instance_metadata` and
// `client_data`, the app's body byte for byte, and nothing else of the app's
// request. A JSON answer goes back with its status and its bytes, and an empty
// 2xx as 204; anything else is answered 502. No redirect is followed.
//
// Services are reached through the guarded egress of the `connector` app: by
// default at public addresses only.
//
// What the edge itself answers is Zendesk's error envelope, with a
// `Proxy-Status` header; answers of the service have none.
//
// Placeholder | Description
// ------------|-------------
// `{http.any_channel.ticket_id}` | The ticket's id
// `{http.any_channel.instance}` | The name of the ticket's instance
// `{http.any_channel.integration}` | The name of the instance's integration
// `{http.any_channel.service.latency}` | How long the service took for its whole answer, e.g. `12.3ms`
// `{http.any_channel.service.latency_ms}` | The same in milliseconds
//
// The access log gains the fields `ticket_id`, `instance`, `integration`,
// `user_id` and `service_latency`.
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_any_channel_requests_total` | `integration`, `status` (`2xx`) | Requests that were sent to a service, by class of the answer's status
// `caddy_any_channel_service_duration_seconds` | `integration` | Histogram of the time until a service's whole answer
// `caddy_any_channel_rejections_total` | `reason` | Requests that the edge answered itself
// `caddy_any_channel_manifest_fetches_total` | `integration`, `result` | Fetches of a manifest: `ok`, `invalid` or `failed`
// `caddy_any_channel_manifest_timestamp_seconds` | `integration` | When the manifest was last found good, in Unix time
type Handler struct {
	// The path of the proxy, compared byte for byte; the same without `.json` is
	// served too. Default: `/api/v2/any_channel/proxy.json`.
	Path string `json:"path,omitempty"`

	// The id of the agent who acts: a placeholder that only an authentication
	// handler can have set. Default: `{http.auth.user.id}`. Behind
	// `forward_auth` it is `{http.reverse_proxy.header.<name>}`, the auth
	// server's own answer.
	User string `json:"user,omitempty"`

	// Origins, such as `https://apps.example.com`, whose pages may use the proxy
	// beside those of the edge's own. Other sites' pages are answered 403, so
	// that they cannot act with an agent's cookie. Default: none.
	TrustedOrigins []string `json:"trusted_origins,omitempty"`

	// The integrations by name: letters, digits, `_`, `.` and `-`, at most 64.
	Integrations map[string]*Integration `json:"integrations,omitempty"`

	// The integration instances by name, which has the same form. At least one is
	// required where no ticket source keeps its own.
	Instances map[string]*Instance `json:"instances,omitempty"`

	// What knows the instance of a ticket. The sources are asked in this order,
	// until one knows the ticket. At least one is required.
	TicketsRaw []json.RawMessage `json:"tickets,omitempty" caddy:"namespace=http.any_channel.tickets inline_key=source"`

	// How long a service may take for its whole answer. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The largest request body and the largest answer, in bytes. A larger body
	// is answered 413, a larger answer 502. Default: 1 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	pathAlone string // without `.json`
	caller    caller.Source
	origins   *http.CrossOriginProtection
	tickets   []TicketSource
	client    http.RoundTripper
	server    *caddyhttp.Server // nil where it is not known
	logger    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.any_channel",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up integrations, instances and ticket sources. It connects to
// nothing: manifests are fetched when the app `connector` has started.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	h.setDefaults()
	if err := checkPath(h.Path); err != nil {
		return err
	}
	h.pathAlone = strings.TrimSuffix(h.Path, ".json")
	var err error
	if h.caller, err = caller.NewSource(h.User, h.logger); err != nil {
		return err
	}
	h.origins = http.NewCrossOriginProtection()
	for _, origin := range h.TrustedOrigins {
		if err := h.origins.AddTrustedOrigin(origin); err != nil {
			return fmt.Errorf("trusted_origins: %w", err)
		}
	}
	app, err := datastore.Of(ctx)
	if err != nil {
		return err
	}
	h.client = app.Transport()
	if err := h.provisionIntegrations(app); err != nil {
		return err
	}
	if err := h.provisionTickets(ctx); err != nil {
		return err
	}
	return metrics.Register(ctx.GetMetricsRegistry(), collectors...)
}

func (h *Handler) setDefaults() {
	if h.Path == "" {
		h.Path = defaultPath
	}
	if h.Timeout == 0 {
		h.Timeout = caddy.Duration(defaultTimeout)
	}
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
}

func (h *Handler) provisionIntegrations(app *datastore.App) error {
	repl := caddy.NewReplacer()
	for name, integration := range h.Integrations {
		if err := integration.provision(name, repl); err != nil {
			return fmt.Errorf("integration %q: %w", name, err)
		}
		if integration.Poll > 0 {
			p := &poller{integration.manifest, name, time.Duration(integration.Poll), h.client, h.logger}
			app.Work(p.run)
		}
	}
	for name, instance := range h.Instances {
		if err := instance.provision(name, h.Integrations, repl, h.logger); err != nil {
			return fmt.Errorf("instance %q: %w", name, err)
		}
	}
	return nil
}

func (h *Handler) provisionTickets(ctx caddy.Context) error {
	mods, err := ctx.LoadModule(h, "TicketsRaw")
	if err != nil {
		return fmt.Errorf("loading tickets: %w", err)
	}
	for _, mod := range mods.([]any) {
		source := mod.(TicketSource)
		if static, ok := source.(*StaticTickets); ok {
			if err := h.checkStatic(static); err != nil {
				return err
			}
		}
		h.tickets = append(h.tickets, source)
	}
	return nil
}

// checkStatic finds tickets that are linked to nothing.
func (h *Handler) checkStatic(static *StaticTickets) error {
	for id, ticket := range static.Tickets {
		if h.Instances[ticket.Instance] == nil {
			return fmt.Errorf("ticket %s: there is no instance '%s'", id, ticket.Instance)
		}
	}
	return nil
}

// Validate checks what needs no other module.
func (h *Handler) Validate() error {
	switch {
	case h.MaxBody < 0:
		return fmt.Errorf("max_body is negative: %d", h.MaxBody)
	case h.Timeout < 0:
		return errors.New("timeout is negative")
	case len(h.Integrations) == 0:
		return errors.New("at least one integration is required")
	case len(h.Instances) == 0 && !slices.ContainsFunc(h.tickets, mayKeepInstances):
		return errors.New("at least one instance is required")
	case len(h.tickets) == 0:
		return errors.New("tickets is required: what knows the instance of a ticket")
	}
	return nil
}

// Cleanup lets go of the manifests. It also runs after a Provision that failed.
func (h *Handler) Cleanup() error {
	var errs []error
	for _, integration := range h.Integrations {
		errs = append(errs, integration.cleanup())
	}
	return errors.Join(errs...)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if path := rawpath.Of(r.URL); path != h.Path && path != h.pathAlone {
		return next.ServeHTTP(w, r)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	ex := &exchange{handler: h, inbound: r, agentID: h.caller.ID(repl)}
	repl.Map(ex.placeholder)
	accesslog.Add(h.server, r, ex)
	ex.serve(w)
	return nil
}

// checkPath refuses a path that no request target is.
func checkPath(path string) error {
	if !rawpath.IsLiteral(path) {
		return fmt.Errorf("path '%s' is not a path", path)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
