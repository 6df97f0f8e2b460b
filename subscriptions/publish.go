package subscriptions

import (
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/accesslog"
	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/rawpath"
)

func init() {
	caddy.RegisterModule(new(Publisher))
}

// Defaults of Publisher's fields.
const (
	defaultPublishPath    = "/events"
	defaultPublishMaxBody = 1 << 20
	defaultMaxEvents      = 100
	defaultMaxData        = 256 << 10
)

// Publisher takes events from the platform and has them sent to whoever has
// subscribed to them. Every user of the site may publish: it should be one that
// subscribers cannot reach.
//
// `POST {path}` takes one event or an array of them as `application/json`, or
// one in each line as `application/x-ndjson`. An event is an object:
//
//   - `type`, such as `task.create`.
//   - `resource_id`, a text of at most 255 characters or a whole number.
//   - `resource_type`, the type of the resource, as `subscriptions` names it:
//     only those who have subscribed to that type get the event. By default, it
//     is for every type that has the id. `subscription` is reserved.
//   - `account_id`, the one user whose subscriptions get it. By default, it is
//     for those of all users.
//   - `id`, 1 to 64 characters of `A` to `Z`, `a` to `z`, `0` to `9`, `_` and
//     `-`. By default, a new one is made.
//   - `data`, an object at most 500 levels deep, which is sent as it is, byte for
//     byte.
//
// The answer is 202 when all of them are durable: an object with `id`,
// `duplicate` and `deliveries` for one event, an array in the same order for
// others. An event whose id was published before is a duplicate, and nothing is
// sent again. With an `Idempotency-Key`, ids are made of that and the user, so
// that a repeated request is a duplicate. If one event is not valid, none is
// published, and the answer is 422 with its index.
//
// Each event is published to all of its subscriptions, or not at all. Where there
// are more than 500 subscriptions to the resources of a request's events, they are
// published in parts, so that others need not wait for all: after an answer other
// than 202, the first of them may be published, and are duplicates when the
// request comes again with the same ids or the same key.
//
// CloudEvents 1.0 over HTTP are taken, too: one in the structured mode
// (`application/cloudevents+json`) or in the binary mode (`ce-` header fields
// with a JSON body), several in the batched mode
// (`application/cloudevents-batch+json`). `subject` is the `resource_id` and is
// required; the extensions `accountid` and `resourcetype` are the `account_id` and
// the `resource_type`; `data` must be a JSON object. The id of the event, which
// the answer tells, is made of `source` and `id`, which together tell CloudEvents
// apart. `time` is not kept: the timestamp of what is sent is when it was
// published.
//
// Events keep the trace (W3C `traceparent`) of the request that published them:
// that of Caddy's `tracing`, if it runs, or else the header field's. A
// CloudEvent may have its own, as the extension for distributed tracing.
//
// Where the config has `subscriptions` handlers, on whatever site, an event's
// type must be one that they declare, and its data must satisfy the type's
// schema: at most 64 levels deep, numbers of at most 64 characters, exponents up
// to 308. Where it has none, every type is taken.
//
// Errors are `application/problem+json` with a `Proxy-Status` header. Requests
// for other paths are passed on to the next handler.
//
// Placeholder | Description
// ------------|-------------
// `{http.publish_events.events}` | How many events were published
// `{http.publish_events.deliveries}` | How many deliveries they have
//
// The access log gains the fields `events` and `deliveries`.
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_publish_events_events_total` | `result` (`new`, `duplicate`) | Events that were taken
// `caddy_publish_events_deliveries_total` | | Deliveries that new events have
// `caddy_publish_events_rejections_total` | `reason` | Requests that were answered with an error; the reason is the `code` in the answer
// `caddy_deliveries_attempts_total` | `outcome` (`delivered`, `gone`, `status`, `redirect` or a name of an error) | Requests to subscribers
// `caddy_deliveries_attempt_duration_seconds` | | Time of a request to a subscriber, with the answer
// `caddy_deliveries_latency_seconds` | | Time from publishing an event until a subscriber has received it
// `caddy_deliveries_in_flight` | | Requests to subscribers that are under way on this node
// `caddy_deliveries_held` | | Deliveries that this node has in memory
// `caddy_deliveries_pending` | | Deliveries in the database, of all nodes, that are neither delivered nor given up. They are counted at most every 15 seconds, when the metrics are read; if that takes longer than 2 seconds, this metric and the next are left out
// `caddy_deliveries_oldest_due_seconds` | | For how long the oldest delivery to an active subscription has been due; 0 if none is
type Publisher struct {
	// The path, compared byte for byte. Default: `/events`.
	Path string `json:"path,omitempty"`

	// The id of the user who publishes: a placeholder that only an authentication
	// handler can have set. Default: `{http.auth.user.id}`.
	User string `json:"user,omitempty"`

	// The largest request body, in bytes. A larger one is answered 413. Default:
	// 1 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// How many events one request may have. More are answered 422. Default: 100.
	MaxEvents int `json:"max_events,omitempty"`

	// The largest data of an event, in bytes. Larger ones are answered 422.
	// Default: 256 KiB.
	MaxData int64 `json:"max_data,omitempty"`

	caller    caller.Source
	store     *Store
	catalogue *catalogue
	server    *caddyhttp.Server // nil where it is not known
	logger    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Publisher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.publish_events",
		New: func() caddy.Module { return new(Publisher) },
	}
}

// Provision sets up the handler. The database is opened when the app `connector`
// starts.
func (p *Publisher) Provision(ctx caddy.Context) error {
	p.logger = ctx.Logger()
	p.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	p.setDefaults()
	if err := checkPath(p.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	var err error
	if p.caller, err = caller.NewSource(p.User, p.logger); err != nil {
		return err
	}
	if p.store, err = openStore(ctx, p.logger); err != nil {
		return err
	}
	if p.catalogue, err = acquireCatalogue(ctx); err != nil {
		return err
	}
	return metrics.Register(ctx.GetMetricsRegistry(), publishCollectors...)
}

func (p *Publisher) setDefaults() {
	if p.Path == "" {
		p.Path = defaultPublishPath
	}
	if p.MaxBody == 0 {
		p.MaxBody = defaultPublishMaxBody
	}
	if p.MaxEvents == 0 {
		p.MaxEvents = defaultMaxEvents
	}
	if p.MaxData == 0 {
		p.MaxData = defaultMaxData
	}
}

// Validate checks what needs no other module.
func (p *Publisher) Validate() error {
	switch {
	case p.MaxBody < 0:
		return fmt.Errorf("max_body is negative: %d", p.MaxBody)
	case p.MaxEvents < 0:
		return fmt.Errorf("max_events is negative: %d", p.MaxEvents)
	case p.MaxData < 0:
		return fmt.Errorf("max_data is negative: %d", p.MaxData)
	}
	return nil
}

// Cleanup lets go of the engine. It also runs after a Provision that failed.
func (p *Publisher) Cleanup() error {
	if p.store == nil {
		return nil
	}
	return errors.Join(p.store.close(), p.catalogue.release())
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (p *Publisher) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if rawpath.Of(r.URL) != p.Path {
		return next.ServeHTTP(w, r)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	pub := &publishing{publisher: p, request: r, user: p.caller.ID(repl)}
	repl.Map(pub.placeholder)
	accesslog.Add(p.server, r, pub)
	pub.serve(w)
	return nil
}

// Interface guards
var (
	_ caddy.Module                = (*Publisher)(nil)
	_ caddy.Provisioner           = (*Publisher)(nil)
	_ caddy.Validator             = (*Publisher)(nil)
	_ caddy.CleanerUpper          = (*Publisher)(nil)
	_ caddyhttp.MiddlewareHandler = (*Publisher)(nil)
)
