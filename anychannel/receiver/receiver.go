// Package receiver holds the handler `http.handlers.any_channel_service`: the
// integration service's end of an authenticating proxy as of Zendesk's channel
// framework.
package receiver

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/problem"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

const defaultMaxBody = 4 << 20

// Handler receives what an authenticating proxy posts to an integration
// service: `instance_metadata`, which holds the credentials of an account at
// the origin service, and `client_data`, the JSON that an app sent. It makes
// both available as placeholders, and calls the next handler with the request
// as it came.
//
// A request is a POST of both fields, each once, as
// `application/x-www-form-urlencoded` or as a JSON object of two strings; other
// fields are ignored. The metadata is text of at most 5000 characters. The
// client data is blank or one JSON value. Bodies are held in memory, up to
// `max_body`, and arrive behind the handler byte for byte, but without trailers.
//
// The handler itself answers `application/problem+json` with a `code`, to
// requests without a valid secret with status 401. Without `secret`, anybody who
// reaches the handler can post.
//
// Members are those of JSON objects: the path has a name for each step, or the
// number of an array's element, from 0, as in `client_data.items.0.id`. Names
// are compared exactly; those with a dot cannot be reached, and of a repeated
// one the last counts. A string gives its text, any other value its JSON as it
// was sent, and null or what is not there gives nothing.
//
// Neither field is logged here, but headers are in Caddy's logs. Those redact
// `Authorization`, which thus is the place for credentials. In a header, text
// with a line break or another control character makes `reverse_proxy` fail.
//
// Placeholder | Description
// ------------|-------------
// `{http.any_channel_service.instance_metadata}` | The metadata, exactly
// `{http.any_channel_service.instance_metadata.<path>}` | A member of the metadata, if that is JSON
// `{http.any_channel_service.client_data}` | The client data, exactly
// `{http.any_channel_service.client_data.<path>}` | A member of the client data
//
// Metric | Labels | Description
// -------|--------|-------------
// `caddy_any_channel_service_requests_total` | `result` | Requests by result: `ok`, or the `code` in the answer: `method_not_allowed`, `media_type_unsupported`, `body_too_large`, `body_incomplete`, `body_timeout`, `form_invalid`, `json_invalid`, `field_missing`, `field_repeated`, `field_invalid`, `metadata_invalid`, `secret_invalid`, `client_data_invalid`, and `client_gone`
type Handler struct {
	// The largest request body, in bytes. A larger one is answered 413. It is
	// the whole body: encoded as a form, client data can take three times its
	// size. Default: 4 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// The proof that a request comes from the proxy: a secret in the metadata
	// of every account. By default none is asked for.
	Secret *MetadataSecret `json:"secret,omitempty"`

	accepted prometheus.Counter
	logger   *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.any_channel_service",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision resolves the secrets.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
	if h.Secret != nil {
		if err := h.Secret.provision(h.logger); err != nil {
			return err
		}
	}
	h.accepted = requests.WithLabelValues("ok")
	return metrics.Register(ctx.GetMetricsRegistry(), requests)
}

// Validate checks what needs no other module.
func (h *Handler) Validate() error {
	if h.MaxBody < 0 {
		return fmt.Errorf("max_body is negative: %d", h.MaxBody)
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	post, refusal := h.receive(r)
	if refusal != nil {
		return h.refuse(w, refusal)
	}
	h.accepted.Inc()
	r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Map(post.placeholder)
	return next.ServeHTTP(w, r)
}

// receive takes the fields out of a request, which keeps its body, or returns
// why it cannot. Of who does not have the secret, no more is looked at than it
// takes to find that.
func (h *Handler) receive(r *http.Request) (*post, *problem.Problem) {
	parse, refusal := parserFor(r)
	if refusal != nil {
		return nil, refusal
	}
	body, refusal := holdBody(r, h.MaxBody)
	if refusal != nil {
		return nil, refusal
	}
	found, refusal := parse(body)
	if refusal != nil {
		return nil, refusal
	}
	metadata, hasMetadata := found[metadataField]
	clientData, hasClientData := found[clientDataField]
	switch {
	case !hasMetadata || !hasClientData:
		return nil, errFieldMissing
	case !validMetadata(metadata):
		return nil, errMetadata
	case h.Secret != nil && !h.Secret.isIn(metadata):
		return nil, errSecret
	case !validClientData(clientData):
		return nil, errClientData
	}
	return &post{metadata: document{text: metadata}, clientData: document{text: clientData}}, nil
}

// refuse answers p and counts it. Only a missing proof is logged: it may be an
// attack, or a secret that was changed at one end.
func (h *Handler) refuse(w http.ResponseWriter, p *problem.Problem) error {
	requests.WithLabelValues(p.Code).Inc()
	switch p {
	case problem.ClientGone:
		w.WriteHeader(p.Status)
		return nil
	case errMethod:
		w.Header().Set("Allow", http.MethodPost)
	case errSecret:
		w.Header().Set("WWW-Authenticate", `Instance-Metadata realm="service"`)
		h.logger.Warn("request without a valid secret in its metadata")
	}
	p.Write(w)
	return nil
}

// Interface guards
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
