package anychannel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/egress"
)

// exchange is one request of an app, and what came of it.
type exchange struct {
	handler *Handler
	inbound *http.Request
	agentID string

	parameters
	instance *Instance
	latency  time.Duration // until the service's whole answer; zero while there is none
}

// serve answers the request.
func (ex *exchange) serve(w http.ResponseWriter) {
	answer, refused := ex.run(w)
	if refused == nil {
		answer.write(w)
		return
	}
	rejectionsTotal.WithLabelValues(refused.reason).Inc()
	if refused == errClientGone {
		w.WriteHeader(refused.status)
		return
	}
	refused.write(w)
}

// run does what is asked. Nothing is sent before all of it has been checked, and
// whether the agent may use the ticket is checked last of all, so that a slow
// client cannot use an access which has been revoked meanwhile.
func (ex *exchange) run(w http.ResponseWriter) (*answer, *refusal) {
	r := ex.inbound
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, errMethod
	}
	if ex.agentID == "" {
		w.Header().Set("WWW-Authenticate", `Session realm="edge"`)
		return nil, errNoUser
	}
	if !caller.ValidID(ex.agentID) {
		return nil, errUser
	}
	if ex.handler.origins.Check(r) != nil {
		return nil, errOrigin
	}
	var refused *refusal
	if ex.parameters, refused = parseQuery(r.URL.RawQuery); refused != nil {
		return nil, refused
	}
	body, refused := ex.readBody()
	if refused != nil {
		return nil, refused
	}
	if ex.instance, refused = ex.findInstance(); refused != nil {
		return nil, refused
	}
	target, err := ex.instance.integration.manifest.base().resolve(ex.postToPath)
	if err != nil {
		return nil, errPath
	}
	if wait := ex.instance.reserve(); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		return nil, errRate
	}
	return ex.post(target, body)
}

// findInstance finds the active instance that the ticket belongs to. Why there is
// none is the agent's to know as little as whether there is such a ticket.
func (ex *exchange) findInstance() (*Instance, *refusal) {
	h := ex.handler
	found, err := ex.askSources()
	switch {
	case err == nil:
	case errors.Is(err, ErrUnknownTicket), errors.Is(err, ErrNoAccess):
		return nil, errTicket
	case ex.inbound.Context().Err() != nil:
		return nil, errClientGone
	case errors.Is(err, errAgentID):
		h.logger.Warn("an agent cannot be looked up", zap.String("ticket_id", ex.ticketID), zap.Error(err))
		return nil, errUser
	default:
		refused := errTicketSource
		var timeout interface{ Timeout() bool }
		if errors.Is(err, datastore.ErrNotReady) {
			refused = errDatabase
		} else if errors.As(err, &timeout) && timeout.Timeout() {
			refused = errTicketSourceTimeout
		}
		h.logger.Error("looking up a ticket failed", zap.String("ticket_id", ex.ticketID),
			zap.String("reason", refused.reason), zap.Error(err))
		return nil, refused
	}
	if !found.metadata.IsZero() {
		return ex.keptInstance(found)
	}
	instance := h.Instances[found.name]
	if instance == nil {
		h.logger.Warn("a ticket belongs to an instance that is not in the config", zap.String("ticket_id", ex.ticketID))
		return nil, errTicket
	}
	if instance.Inactive {
		return nil, errTicket
	}
	return instance, nil
}

// keptInstance makes an instance of what a source keeps itself, for this request
// alone.
func (ex *exchange) keptInstance(found TicketInstance) (*Instance, *refusal) {
	h := ex.handler
	integration := h.Integrations[found.integration]
	if integration == nil {
		h.logger.Warn("a ticket belongs to an integration that is not in the config", zap.String("ticket_id", ex.ticketID),
			zap.String("instance", found.name), zap.String("integration", found.integration))
		return nil, errTicket
	}
	if err := checkMetadataText(found.metadata.Reveal()); err != nil {
		h.logger.Error("the metadata of a ticket's instance cannot be used", zap.String("ticket_id", ex.ticketID),
			zap.String("instance", found.name), zap.Error(err))
		return nil, errTicketSource
	}
	return &Instance{integration: integration, name: found.name, prefix: newPayloadPrefix(integration.Encoding, found.metadata)}, nil
}

// askSources asks one ticket source after the other, until one knows the ticket.
func (ex *exchange) askSources() (found TicketInstance, err error) {
	for _, source := range ex.handler.tickets {
		found, err = source.Instance(ex.inbound.Context(), ex.ticketID, ex.agentID)
		if !errors.Is(err, ErrUnknownTicket) {
			break
		}
	}
	return found, err
}

// reserve counts a request, or says how long it is too early.
func (i *Instance) reserve() time.Duration {
	if i.limiter == nil {
		return 0
	}
	reservation := i.limiter.Reserve()
	wait := reservation.Delay()
	if wait > 0 {
		reservation.Cancel()
	}
	return wait
}

// post sends the app's JSON with the instance's metadata.
func (ex *exchange) post(target *url.URL, clientData []byte) (*answer, *refusal) {
	h := ex.handler
	ctx, cancel := context.WithTimeout(ex.inbound.Context(), time.Duration(h.Timeout))
	defer cancel()
	payload := ex.instance.prefix.append(clientData)
	out := (&http.Request{
		Method: http.MethodPost, URL: target, Host: target.Host,
		Header: http.Header{
			"Accept":       {"application/json"},
			"Content-Type": {ex.instance.prefix.contentType()},
			"User-Agent":   {egress.UserAgent},
		},
		Body: io.NopCloser(bytes.NewReader(payload)), ContentLength: int64(len(payload)),
		// for a connection that the service closed before anything was written
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil },
	}).WithContext(ctx)

	start := time.Now()
	a, failed := ex.receive(out)
	if failed == nil {
		ex.latency = time.Since(start)
		ex.instance.integration.metrics.count(a.status, ex.latency.Seconds())
		return a, nil
	}
	if ex.inbound.Context().Err() != nil {
		return nil, errClientGone
	}
	ex.instance.integration.metrics.count(failed.refusal.status, 0)
	h.logger.Error("integration service failed", zap.String("integration", ex.instance.integration.name),
		zap.String("instance", ex.instance.name), zap.String("reason", failed.refusal.reason),
		zap.String("error", failed.text), zap.Duration("duration", time.Since(start)))
	return nil, failed.refusal
}

// receive sends the request and reads the answer.
func (ex *exchange) receive(out *http.Request) (*answer, *failure) {
	res, err := ex.handler.client.RoundTrip(out)
	if err != nil {
		return nil, classify(err)
	}
	defer res.Body.Close()
	if refused := checkStatus(res.StatusCode); refused != nil {
		return nil, &failure{refused, "status " + strconv.Itoa(res.StatusCode)}
	}
	body, err := egress.ReadAll(res, ex.handler.MaxBody)
	if err != nil {
		return nil, classify(err)
	}
	return newAnswer(res, body)
}

// placeholder looks up the placeholders in Handler's documentation.
func (ex *exchange) placeholder(key string) (any, bool) {
	switch key {
	case "http.any_channel.ticket_id":
		return ex.ticketID, true
	case "http.any_channel.instance":
		if ex.instance != nil {
			return ex.instance.name, true
		}
	case "http.any_channel.integration":
		if ex.instance != nil {
			return ex.instance.integration.name, true
		}
	case "http.any_channel.service.latency":
		return ex.latency, ex.latency > 0
	case "http.any_channel.service.latency_ms":
		return ex.latency.Seconds() * 1e3, ex.latency > 0
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what the access log says
// of the exchange.
func (ex *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if isTicketID(ex.ticketID) {
		enc.AddString("ticket_id", ex.ticketID)
	}
	if ex.instance != nil {
		enc.AddString("instance", ex.instance.name)
		enc.AddString("integration", ex.instance.integration.name)
	}
	if ex.latency > 0 {
		enc.AddDuration("service_latency", ex.latency)
	}
	return nil
}
