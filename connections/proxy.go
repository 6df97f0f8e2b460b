package connections

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/target"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/accesslog"
	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/stall"
)

// idleTimeout is how long an API may be silent in the middle of a body, its own or
// the client's.
var idleTimeout = time.Minute // tests shorten it

// allowedMethods are those that are forwarded.
const allowedMethods = "GET, POST, PUT, PATCH, DELETE"

func isForwarded(method string) bool {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}

// exchange is one request on its way to an API, and the answer on its way back.
type exchange struct {
	handler    *Handler
	inbound    *http.Request
	connection *vault.Connection
	api        *API
	ready      *ready // its credentials

	controls target.Controls
	location *url.URL // where it goes, without credentials
	body     body
	session  session
	watch    stall.Watch
	writer   responseWriter

	start   time.Time
	latency time.Duration // until the API's answer; zero while there is none
	status  int
}

// exchangeKey has the exchange in the context of what ReverseProxy handles.
type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// forward is the proxy. The rest is the escaped path behind the connection's id.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, id, rest string) {
	ex := &exchange{handler: h, inbound: r}
	if err := ex.admit(id, rest); err != nil {
		told := refused(r, h.logger, err)
		ex.api.count(told.Status)
		rejectionsTotal.WithLabelValues(told.Code).Inc()
		told.write(w)
		return
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), exchangeKey{}, ex))
	defer cancel(nil)
	ex.writer.ResponseWriter = w
	ex.start = time.Now()
	ex.watch.Start(idleTimeout, cancel)
	defer ex.watch.Stop()
	defer ex.finish()
	h.proxy.ServeHTTP(&ex.writer, withoutUpgrade(r.WithContext(ctx)))
}

// withoutUpgrade has ReverseProxy not look at a protocol that is not switched to.
func withoutUpgrade(r *http.Request) *http.Request {
	if r.Header["Upgrade"] != nil {
		r.Header = r.Header.Clone() // the access log has the other one
		delete(r.Header, "Upgrade")
	}
	return r
}

// admit checks what can be known before the API is asked. Who is nobody, or not
// the owner, learns nothing.
func (ex *exchange) admit(id, rest string) (err error) {
	h, r := ex.handler, ex.inbound
	who, err := h.identify(r)
	if err != nil {
		return err
	}
	if ex.connection, err = h.find(r.Context(), who.owner, id); err != nil {
		return err
	}
	r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Map(ex.placeholder)
	accesslog.Add(h.server, r, ex)
	ex.api = h.APIs[ex.connection.API]
	if ex.api == nil {
		return errNoAPI
	}
	if !isForwarded(r.Method) {
		return errMethod
	}
	if ex.controls, err = target.ReadControls(r.Header); err != nil {
		return err
	}
	if ex.location, err = ex.api.target.Locate(ex.connection.Variables, ex.controls, r.URL, rest); err != nil {
		return err
	}
	if ex.ready, err = ex.api.ready(ex.connection); err != nil {
		return err
	}
	ex.session = session{refresher: h.refresher, id: ex.connection.ID, ready: ex.ready, force: ex.controls.ForceRefresh}
	if ex.ready.limiter != nil && !ex.ready.limiter.Allow() {
		return errRate
	}
	return ex.holdBody()
}

// find returns a connection of the owner's.
func (h *Handler) find(ctx context.Context, owner, id string) (*vault.Connection, error) {
	if !vault.ValidID(id) {
		return nil, errUnknown
	}
	found, err := h.store.Find(ctx, id)
	foreign := err == nil && found.Owner != owner
	if foreign || errors.Is(err, vault.ErrUnreadable) {
		// only its owner learns that there is one; others wait as long as for none
		if _, unknown := h.store.Get(ctx, owner, id); unknown != nil {
			return nil, unknown
		}
	}
	if foreign {
		return nil, errUnknown
	}
	return found, err
}

// rewrite makes the outbound request, but for its credentials, which each attempt
// puts in.
func (ex *exchange) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL = ex.location
	out.Host = "" // the location's
	out.RequestURI = ""
	out.Trailer = nil
	ex.controls.StripRequest(out.Header)
	ex.api.withheld.Strip(out.Header)
	ex.body.attach(out, &ex.watch)
}

// answered takes the answer over.
func (ex *exchange) answered(res *http.Response) error {
	ex.latency = time.Since(ex.start)
	ex.status = res.StatusCode
	ex.api.measured.upstream.Observe(ex.latency.Seconds())
	if res.StatusCode == http.StatusSwitchingProtocols {
		return errSwitched
	}
	target.StripResponse(res.Header)
	problem.Disown(res.Header)
	ex.api.auth.Redact(res.Header, res.Request.URL, ex.session.put)
	ex.clean(res)
	ex.writer.begin(res)
	res.Body = &answerBody{res.Body, ex, res}
	return nil
}

// clean removes from an answer's trailers what its header must not have. Those
// that are announced are known when the answer begins; others may come with its
// end.
func (ex *exchange) clean(res *http.Response) {
	target.StripResponseTrailers(res.Trailer)
	problem.Disown(res.Trailer)
	ex.api.auth.Redact(res.Trailer, res.Request.URL, ex.session.put)
}

// fail answers when there is no answer of the API to pass on.
func (ex *exchange) fail(ctx context.Context, err error) {
	told, text := ex.classify(ctx, err)
	ex.status = told.Status
	rejectionsTotal.WithLabelValues(told.Code).Inc()
	if told.Status >= http.StatusInternalServerError {
		if c := ex.handler.logger.Check(zapcore.ErrorLevel, "an API could not be called"); c != nil {
			c.Write(zap.Inline(ex), zap.String("code", told.Code), zap.String("error", text), zap.Duration("duration", time.Since(ex.start)))
		}
	}
	if of, ok := errors.AsType[*oauth.Error](err); ok && told == errExpired && of.RetryAfter > datastore.RetryAfter {
		ex.writer.ResponseWriter.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(of.RetryAfter.Seconds())))) // nobody asks before
	}
	told.write(ex.writer.ResponseWriter)
}

// finish runs when the answer is over, also when ReverseProxy gives up in its
// middle by panicking with http.ErrAbortHandler.
func (ex *exchange) finish() {
	ex.api.count(ex.status)
	if aborted := recover(); aborted != nil {
		// let the client have what has come so far
		_ = http.NewResponseController(ex.writer.ResponseWriter).Flush()
		panic(aborted)
	}
}

// placeholder looks up the placeholders in Handler's documentation.
func (ex *exchange) placeholder(key string) (any, bool) {
	switch key {
	case "http.connections.id":
		return ex.connection.ID, true
	case "http.connections.api":
		return ex.connection.API, true
	case "http.connections.owner":
		return ex.connection.Owner, true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what logs say of the
// exchange.
func (ex *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("connection", ex.connection.ID)
	enc.AddString("api", ex.connection.API)
	if ex.latency > 0 {
		enc.AddDuration("upstream_latency", ex.latency)
	}
	return nil
}

// Interface guard
var _ zapcore.ObjectMarshaler = (*exchange)(nil)
