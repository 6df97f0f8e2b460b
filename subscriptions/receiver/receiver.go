// Package receiver holds the handler `http.handlers.verify_webhook`: the
// receiving end of webhooks that are signed as Standard Webhooks has it.
package receiver

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

const (
	defaultMaxBody = 1 << 20

	minTolerance = caddy.Duration(time.Second)
	maxTolerance = caddy.Duration(time.Hour)
)

// Handler lets only webhooks pass that were signed with a secret of their
// sender, as Standard Webhooks 1.0.0 has it: with the header fields
// `webhook-id`, `webhook-timestamp` and `webhook-signature` (`v1`, HMAC-SHA256,
// or `v1a`, ed25519). Anything else is answered by the handler itself, with
// `application/problem+json` and a `code`. It adds nothing to a request that
// passes and takes nothing from it, but its trailers. Bodies are held in memory,
// up to `max_body`, and arrive behind the handler byte for byte.
//
// Id, time and body are signed. The method, the URL and other header fields are
// not, so what they say is no more certain than without the handler. Handshakes,
// such as WebSub's GET with a challenge, are not signed either: leave them out
// with a matcher.
//
// A webhook passes once. Its id and timestamp are remembered for each of the
// secrets, as long as the tolerance lasts, and a second one with both is answered
// 409 `replayed`. That is for one sent again by others: a sender's own retry
// has the id of the first and a new timestamp, and passes, whatever became of
// the first. So go by the id, in the app, to do things once; and give each
// endpoint a secret of its own, or a webhook that goes to two of them in one
// second reaches one at first. What is remembered is in memory, over config
// reloads but not over a restart, by each process for itself; with more than
// 1,048,576 in the time of the tolerance, webhooks are answered 503.
//
// With `hub_signature`, the one signature is in `X-Hub-Signature-256`, as GitHub
// sends it, and covers the body alone: who has seen a request can send it again
// at any time, with any other header. There is no protection from replays.
//
// Placeholder | Description
// ------------|-------------
// `{http.verify_webhook.id}` | The id of the webhook, the same in each attempt to deliver it. It is 1 to 255 visible ASCII characters without a dot, and empty with `hub_signature`
// `{http.verify_webhook.timestamp}` | The time of the attempt, in Unix seconds. It is empty with `hub_signature`
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_verify_webhook_requests_total` | `result` | Requests by result: `current` or `previous` (signed with the first, or with another of the secrets), or the `code` in the answer: `signature_missing`, `signature_malformed` (not of the form, or repeated), `timestamp_expired`, `timestamp_early` (ahead of the tolerance), `signature_invalid` (of none of the secrets, or of another webhook), `replayed`, `replay_cache_full`, `body_too_large`, `body_incomplete`, `body_timeout`, and `client_gone`
type Handler struct {
	// The secrets that are accepted: `whsec_` and the base64 of 24 to 64 bytes,
	// the base64 alone, or a public key, `whpk_` and the base64 of its 32
	// bytes. With `hub_signature`, any text. Several serve rotation: put the new
	// one first, change the sender, then remove the old one. Each takes
	// placeholders, as in `{env.WEBHOOK_SECRET}` or `{file./run/secrets/webhook}`,
	// which are resolved once, when the config is loaded; an empty one is an
	// error. At least one is required.
	Secrets []string `json:"secrets,omitempty"`

	// How far the timestamp may be from the time here, in the past or in the
	// future: 1 second to 1 hour, in whole seconds. Default: 5 minutes.
	Tolerance caddy.Duration `json:"tolerance,omitempty"`

	// The largest request body, in bytes. A larger one is answered 413.
	// Default: 1 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// What the names of the three header fields begin with: with `svix`, they
	// are `svix-id`, `svix-timestamp` and `svix-signature`. Default: `webhook`.
	HeaderPrefix string `json:"header_prefix,omitempty"`

	// Whether `X-Hub-Signature-256` is asked for instead, which has no
	// timestamp. Default: false.
	HubSignature bool `json:"hub_signature,omitempty"`

	names             signature.Names
	keys              []signature.Verifier
	identities        identities
	hubSecrets        []signature.HubSecret // with HubSignature
	replays           *replay.Cache
	now               func() time.Time
	current, previous prometheus.Counter
	logger            *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.verify_webhook",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision resolves the secrets.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if err := h.check(); err != nil {
		return err
	}
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
	if h.Tolerance == 0 {
		h.Tolerance = caddy.Duration(signature.DefaultTolerance)
	}
	if h.HeaderPrefix != "" {
		var err error
		if h.names, err = signature.NewNames(h.HeaderPrefix); err != nil {
			return err
		}
	}
	if err := h.provisionSecrets(); err != nil {
		return err
	}
	h.replays, h.now = replays, time.Now
	h.current, h.previous = requests.WithLabelValues("current"), requests.WithLabelValues("previous")
	return metrics.Register(ctx.GetMetricsRegistry(), requests)
}

// check reports what is wrong with the options as they are configured.
func (h *Handler) check() error {
	switch {
	case h.MaxBody < 0:
		return fmt.Errorf("max_body is negative: %d", h.MaxBody)
	case h.HubSignature && (h.Tolerance != 0 || h.HeaderPrefix != ""):
		return fmt.Errorf("hub_signature has no timestamp and one header: it goes with no tolerance and no header_prefix")
	case h.Tolerance != 0 && (h.Tolerance < minTolerance || h.Tolerance > maxTolerance):
		return fmt.Errorf("tolerance must be %v to %v, not %v", time.Duration(minTolerance), time.Duration(maxTolerance), time.Duration(h.Tolerance))
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	receive := h.receive
	if h.HubSignature {
		receive = h.receiveHub
	}
	got, refusal := receive(r)
	if refusal != nil {
		return h.refuse(w, refusal)
	}
	if got.key == 0 {
		h.current.Inc()
	} else {
		h.previous.Inc()
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Set("http.verify_webhook.id", got.id)
	repl.Set("http.verify_webhook.timestamp", got.timestamp)
	return next.ServeHTTP(w, r)
}

// refuse answers p and counts it. Whatever is wrong with the proof is logged: it
// may be an attack, a secret that was changed at one end, or a clock.
func (h *Handler) refuse(w http.ResponseWriter, p *problem.Problem) error {
	requests.WithLabelValues(p.Code).Inc()
	if p == problem.ClientGone {
		w.WriteHeader(p.Status)
		return nil
	}
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Webhook-Signature realm="webhook"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if isProof(p) {
		h.logger.Warn("webhook refused", zap.String("result", p.Code))
	}
	p.Write(w)
	return nil
}

// Interface guards
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
