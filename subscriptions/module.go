// Package subscriptions holds the handlers `http.handlers.subscriptions`, where
// subscribers say what they want to be sent, and `http.handlers.publish_events`,
// where a platform says what has happened.
package subscriptions

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/accesslog"
	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/rawpath"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Defaults of Handler's fields.
const (
	defaultPrefix      = "/"
	defaultMaxPerOwner = 1000
	defaultMaxBody     = 64 << 10
)

// Handler lets users, and platforms that act for them, subscribe webhooks to the
// events of a resource. What `publish_events` takes is sent to those whose
// resource and events match.
//
// `POST {prefix}/subscriptions` subscribes, with a JSON object:
//
//   - `target_url`, an https URL. `url`, `webhook_url`, `callback_url` and
//     `hookUrl` are taken for it too.
//   - `resource_type`, one of those below. It may be left out if there is one.
//   - `resource_id`, a text of at most 255 characters or a whole number.
//   - `events`, an array of types, or wildcards: `task.*` stands for all types
//     that go on behind the dot, `*` for all that there are. `event` is one.
//   - `signature`, how deliveries are signed: `v1`, the default, with a secret,
//     or `v1a`, with a key pair. Of that, the subscription shows the
//     `public_key`, `whpk_` and base64.
//   - `secret`, with which deliveries are signed: `whsec_` and the base64 of 24
//     to 64 bytes. By default, a new one is made. With `v1a` there is none.
//   - `ordered`, whether each delivery waits for the one before. Default: false.
//   - `expires_at`, when it ends, as in RFC 3339. `expiration_date` is taken for
//     it too. By default, it does not.
//   - `flat`, whether the event's `data` alone, byte for byte, is the body. Then
//     `webhook-event-type`, `webhook-resource-id` and, if the event has one,
//     `webhook-resource-type` are sent as header fields, with `%` and what is not
//     visible ASCII percent-encoded. They are not signed. Default: false.
//   - `filter`, what the `data` must have: an object of paths, such as
//     `assignee.id`, and the value of each, or an array of possible ones: texts,
//     numbers, `true`, `false` and `null`. All of 1 to 16 members must match.
//     Numbers are compared as decimal ones, so 1 is 1.0; texts as they are; what
//     is missing is `null`. Where a path meets an array, one of its elements is
//     enough; of all that it meets, 1000 are looked at. A path has at most 8 names and 128 characters, an array 16 values,
//     a filter 4 KiB.
//   - `headers`, at most 16 header fields of deliveries, such as `Authorization`:
//     an object of names, and values of 1 to 1024 visible ASCII characters and
//     inner spaces. No later answer has the values. Those cannot be set that the
//     edge sets, that are for one connection only, or that say where a request
//     has been: `Host`, `User-Agent`, `Content-*`, `Proxy-*`, `X-Forwarded-*`,
//     `webhook-*` and others.
//   - `rate_limit`, at most how many deliveries a second there are: 1 to 1000.
//   - `handshake`, how the target has to agree, within 10 seconds, before it is
//     subscribed. The request has the `headers` of the subscription. Default: not
//     at all. `x-hook-secret` posts `{}` with an `X-Hook-Secret`, which a 2xx
//     answer must have too; deliveries then also have `X-Hook-Signature`, the hex
//     of the body's HMAC-SHA256 with it. `cloudevents`, for which `origin` must
//     be set, sends OPTIONS with `WebHook-Request-Origin`; a 2xx answer must have
//     that or `*` as `WebHook-Allowed-Origin`; deliveries then have the origin
//     too. `websub` sends GET with `hub.mode=subscribe`, `hub.topic` (type and
//     id of the resource, a slash between them), `hub.challenge` and
//     `hub.lease_seconds` added to the query (ten years for a subscription that
//     does not end); a 2xx answer must have the challenge as its body.
//
// The answer is 201 with the subscription, and its secret, which no later answer
// has. The same user, target, resource and events again is answered 200 with the
// subscription that there is; of the rest, only its end is changed, and the
// target is not asked again.
//
// Targets must not name addresses that `egress` refuses, numbers that some
// resolver takes for an address, this machine, or a port below 1024 other than 80
// and 443: what listens there is no webhook. Names are looked up, and checked,
// at each delivery.
//
// `GET {prefix}/subscriptions` lists the user's own, newest last, `limit` (50; at
// most 100) at a time; `next_cursor` is the `cursor` of the next page, or null.
// Below it, each has `GET`, `DELETE`, `PUT` with other `events`, `PATCH` with
// `events`, `ordered` or a `status`, which is `active` or `paused`, and `POST` to
// `/pause`, `/resume`, and `/secret`, which answers a new `secret` or
// `public_key`; the one before goes on signing for 24 hours. `PUT` and `PATCH`
// also take `flat`, `filter`, `headers`, `rate_limit` and `expires_at`; null
// takes one of the last four away. `headers` replace all that there were. The
// target cannot be changed. `DELETE` also cancels deliveries that wait. The
// subscriptions of others are answered like those that do not exist.
//
// What became of events, and to have them sent again:
//
//   - `GET` `/subscriptions/{id}/deliveries` lists a subscription's deliveries,
//     newest first, by pages. The query may have `state` (`pending`, `delivered`,
//     `dead`, `cancelled`; several with commas), `since` and `until`, which are
//     times of publishing as in RFC 3339, and `event_type`. A page with an
//     `event_type` that is rare may have less than its `limit`, and a
//     `next_cursor`.
//   - `GET` `/deliveries/{id}` answers one, with its last 100 attempts in
//     `attempt_list` and the `payload` that is sent.
//   - `POST` `/deliveries/{id}/retry` has one sent again at once, whatever its
//     state, and is answered 202.
//   - `POST` `/subscriptions/{id}/replays` does so for all that were published
//     from `since` on, `until` a time (by default, now) and that are in one of the
//     `states` (by default, `dead`). It is answered 202 with a replay, which goes
//     on in the background, also over restarts, and adds no more than the
//     subscriber takes. `GET` there lists replays, newest first; below it, each has
//     `GET`, with its `status` (`running`, `done`, `cancelled`) and how many of
//     `total` were `replayed`, and `DELETE`, which cancels it. A user may have 5
//     that run.
//   - `POST` `/subscriptions/{id}/test` sends a sample at once, of a `type` if the
//     body names one, and answers whether it was `delivered`, with the target's
//     `status`. A subscription that was disabled because its target failed is
//     active again when it was. It can be done once in a second.
//
// A user may have targets asked, by handshakes and tests, 30 times at once, and
// then once in a second. More are answered 429 with the code `rate_limited`.
//
// Deliveries of what is paused, disabled, expired or ended are not sent again:
// the answer is 409. They are kept as long as the app's `retention` says.
//
// `GET {prefix}/event_types` lists the catalogue: an object with `data`, an array
// of objects with `type`, `description`, and `schema` and `sample` where there
// are some; the edge's own, about subscriptions, follow with the `resource_type`
// `subscription`. `GET {prefix}/events/{type}/sample` answers an array with one example
// of what is sent for such an event. `GET {prefix}/openapi.json` describes all of
// this as OpenAPI 3.1, with the types of events and resources of the config; it
// needs no user.
//
// `GET {prefix}/resources/{type}` lists the resources of a type that the user
// sees, as a JSON array of `{"id":"p1","value":"Website"}`, in the app's order,
// `limit` (50; at most 100) at a time; with `q`, those whose label has that text in
// it, in any case. A `Link` header whose relation is `next` leads to the next page.
// With `envelope=1` the answer is an object like that of the subscriptions' list.
//
// The app is asked for them as the user, each time. It is asked, too, when the
// user subscribes, for `PUT`, `PATCH` and `/resume`, unless a `PATCH` pauses, for
// `GET` `/deliveries/{id}`, and for what sends at once: `/retry`, `/replays` and
// `/test`. If the resource is none that the user sees, that is answered 403 with
// the code `resource_denied`. Types that are public are neither listed nor asked
// for. Events are sent without asking: who loses access goes on receiving them
// until the subscription is deleted or expires, but for those that are published
// with the `account_id` of another user.
//
// Errors are `application/problem+json` with a `Proxy-Status` header. Requests
// for other paths are passed on to the next handler.
//
// Placeholder | Description
// ------------|-------------
// `{http.subscriptions.id}` | The id of the subscription that the request is for or that it made
//
// The access log gains the field `subscription`.
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_subscriptions_requests_total` | `operation` (`create`, `list`, `get`, `update`, `delete`, `pause`, `resume`, `rotate`, `list_resources`, `list_types`, `sample`, `describe`, `test`, `list_deliveries`, `get_delivery`, `retry`, `replay`, `list_replays`, `get_replay`, `cancel_replay`), `status` (`2xx`) | Requests, by class of the answer's status
// `caddy_subscriptions_rejections_total` | `reason` | Requests that were answered with an error; the reason is the `code` in the answer
// `caddy_subscriptions_resource_lookups_total` | `resource`, `outcome` (`ok`, `denied`, `invalid`, `failed`, `timeout`, `client_gone`) | How often an app was asked for a user's resources; pages count as one
// `caddy_subscriptions_pruned_total` | `kind` (`delivery`, `attempt`, `event`, `replay`, `subscription`) | Rows that were removed because they were older than the retention
type Handler struct {
	// The path that the paths of this handler begin with, compared byte for byte.
	// Default: `/`.
	Prefix string `json:"prefix,omitempty"`

	// The id of the user who owns the subscriptions: a placeholder that only an
	// authentication handler can have set. Default: `{http.auth.user.id}`. Behind
	// `forward_auth` it is `{http.reverse_proxy.header.<name>}`, the auth
	// server's own answer.
	User string `json:"user,omitempty"`

	// The types of events that there are, by name: segments of `a` to `z`, digits
	// and `_` with dots between them, such as `task.create`, at most 128
	// characters. At least one is required.
	EventTypes map[string]*EventType `json:"event_types,omitempty"`

	// The types of resources that can be subscribed to, by name: letters, digits,
	// `_`, `.` and `-`, at most 64. At least one is required.
	Resources map[string]*Resource `json:"resources,omitempty"`

	// How many subscriptions a user may have, beside those that have ended; what
	// has expired counts as long as the app's `retention` keeps it. More are
	// answered 409. Default: 1000.
	MaxPerOwner int `json:"max_per_owner,omitempty"`

	// The largest request body, in bytes. A larger one is answered 413. Default:
	// 64 KiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// Whether targets may be http URLs, so that what they are sent can be read on
	// the way. Default: only https.
	AllowHTTP bool `json:"allow_http,omitempty"`

	// How deliveries are signed, where not as Standard Webhooks 1.0.0 has it.
	Signature *Signature `json:"signature,omitempty"`

	// The DNS name that the edge says it is in the handshake `cloudevents`, which
	// there is only with it.
	Origin string `json:"origin,omitempty"`

	base      string // what all paths begin with
	caller    caller.Source
	store     *Store
	transport *egress.Transport // the guarded way out
	catalogue *catalogue
	document  json.RawMessage   // OpenAPI, without its servers
	server    *caddyhttp.Server // nil where it is not known
	logger    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.subscriptions",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler. The database is opened when the app `connector`
// starts.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	h.setDefaults()
	if err := checkPath(h.Prefix); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	h.base = strings.TrimSuffix(h.Prefix, "/")
	var err error
	if h.caller, err = caller.NewSource(h.User, h.logger); err != nil {
		return err
	}
	if err := h.provisionEventTypes(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(h.Resources)) {
		if err := h.Resources[name].provision(ctx, name, h.logger); err != nil {
			return err
		}
	}
	app, err := datastore.Of(ctx)
	if err != nil {
		return err
	}
	h.transport = app.Transport()
	if h.store, err = openStore(ctx, h.logger); err != nil {
		return err
	}
	if h.catalogue, err = acquireCatalogue(ctx); err != nil {
		return err
	}
	h.catalogue.add(h.EventTypes)
	h.document = h.describe()
	return metrics.Register(ctx.GetMetricsRegistry(), collectors...)
}

func (h *Handler) setDefaults() {
	if h.Prefix == "" {
		h.Prefix = defaultPrefix
	}
	if h.MaxPerOwner == 0 {
		h.MaxPerOwner = defaultMaxPerOwner
	}
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
}

// Validate checks what needs no other module.
func (h *Handler) Validate() error {
	switch {
	case h.MaxBody < 0:
		return fmt.Errorf("max_body is negative: %d", h.MaxBody)
	case h.MaxPerOwner < 0:
		return fmt.Errorf("max_per_owner is negative: %d", h.MaxPerOwner)
	case len(h.EventTypes) == 0:
		return errors.New("event_types is required: the types of events that there are")
	case len(h.Resources) == 0:
		return errors.New("at least one resource is required")
	}
	if err := h.Signature.validate(); err != nil {
		return err
	}
	if err := checkOrigin(h.Origin); h.Origin != "" && err != nil {
		return err
	}
	for eventType := range h.EventTypes {
		if err := checkType(eventType); err != nil {
			return err
		}
	}
	return nil
}

// Cleanup lets go of the engine. It also runs after a Provision that failed.
func (h *Handler) Cleanup() error {
	if h.store == nil {
		return nil
	}
	return errors.Join(h.store.close(), h.catalogue.release())
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	to, params := find(rawpath.Of(r.URL), h.base)
	if to == nil {
		return next.ServeHTTP(w, r)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	ex := &exchange{handler: h, request: r, owner: h.caller.ID(repl), params: params, id: params["id"]}
	repl.Map(ex.placeholder)
	accesslog.Add(h.server, r, ex)
	ex.serve(w, to)
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
