package anychannel

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

// refusal is what the edge answers itself: an error in Zendesk's envelope, with
// a Proxy-Status field (RFC 9209) by which it can be told from a service's. It
// never holds text of the request, of the service or of a Go error.
type refusal struct {
	status     int
	reason     string // for metrics and logs; stable, in snake_case
	proxyError string // RFC 9209 proxy error type
	body       []byte
}

// envelope is Zendesk's error format.
type envelope struct {
	Error       string              `json:"error"`
	Description string              `json:"description,omitempty"`
	Details     map[string][]detail `json:"details,omitempty"`
}

type detail struct {
	Description string `json:"description"`
	Error       string `json:"error"`
}

func refuse(status int, reason, proxyError, name, description string) *refusal {
	return newRefusal(status, reason, proxyError, envelope{Error: name, Description: description})
}

// refuseField is a refusal on account of one parameter.
func refuseField(status int, reason, name, field, fault, description string) *refusal {
	return newRefusal(status, reason, requestError, envelope{
		Error: name, Description: "Record validation errors",
		Details: map[string][]detail{field: {{Description: field + ": " + description, Error: fault}}},
	})
}

func newRefusal(status int, reason, proxyError string, e envelope) *refusal {
	body, _ := json.Marshal(e) // strings always encode
	return &refusal{status, reason, proxyError, body}
}

// write sends r. The response must not have been started.
func (r *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if r == errDatabase {
		h.Set("Retry-After", strconv.Itoa(int(datastore.RetryAfter.Seconds())))
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(r.body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Proxy-Status", problem.ProxyName+"; error="+r.proxyError)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // the client is gone where this fails
}

// RFC 9209 proxy error types that are no network's.
const (
	requestError  = "http_request_error"
	requestDenied = "http_request_denied"
	internalError = "proxy_internal_error"
)

// What the edge answers itself. Status, reason and the envelope's `error` are
// part of the interface.
var (
	errMethod    = refuse(http.StatusMethodNotAllowed, "method_not_allowed", requestDenied, "MethodNotAllowed", "Only POST is allowed")
	errNoUser    = refuse(http.StatusUnauthorized, "user_missing", requestDenied, "Couldn't authenticate you", "")
	errUser      = refuse(http.StatusForbidden, "user_invalid", requestDenied, "Forbidden", "The user's id cannot be passed on")
	errOrigin    = refuse(http.StatusForbidden, "cross_origin", requestDenied, "Forbidden", "The request comes from another site")
	errNoTicket  = refuseField(http.StatusBadRequest, "ticket_id_missing", "InvalidParameter", "ticket_id", "BlankValue", "cannot be blank")
	errTicketTwo = refuseField(http.StatusBadRequest, "ticket_id_repeated", "InvalidParameter", "ticket_id", "InvalidValue", "is given more than once")
	errTicketID  = refuseField(http.StatusUnprocessableEntity, "ticket_id_invalid", "RecordInvalid", "ticket_id", "InvalidValue", "is not a ticket's number")
	errTicket    = refuse(http.StatusNotFound, "ticket_not_found", "destination_not_found", "RecordNotFound", "Not found")

	errNoPath    = refuseField(http.StatusUnprocessableEntity, "post_to_path_missing", "RecordInvalid", "post_to_path", "BlankValue", "cannot be blank")
	errPathTwo   = refuseField(http.StatusBadRequest, "post_to_path_repeated", "InvalidParameter", "post_to_path", "InvalidValue", "is given more than once")
	errPathLong  = refuseField(http.StatusUnprocessableEntity, "post_to_path_too_long", "RecordInvalid", "post_to_path", "TooLong", "is longer than 511 characters")
	errPath      = refuseField(http.StatusUnprocessableEntity, "post_to_path_invalid", "RecordInvalid", "post_to_path", "InvalidValue", "must be an https URL on the host of the integration's manifest, or relative to it")
	errMediaType = refuse(http.StatusUnsupportedMediaType, "media_type_unsupported", requestError, "UnsupportedMediaType", "The body must be sent as application/json, in UTF-8 and not compressed")
	errJSON      = refuse(http.StatusBadRequest, "body_invalid", requestError, "UnparsableRequest", "The body is not JSON in UTF-8")
	errRate      = refuse(http.StatusTooManyRequests, "rate_limited", requestDenied, "TooManyRequests", "The rate limit of this integration instance is exceeded")

	errTicketSource        = refuse(http.StatusBadGateway, "ticket_source_failed", proxyerror.ProtocolError, "BadGateway", "The ticket could not be looked up")
	errDatabase            = refuse(http.StatusServiceUnavailable, "database_not_ready", internalError, "ServiceUnavailable", "The ticket cannot be looked up at the moment")
	errTicketSourceTimeout = refuse(http.StatusGatewayTimeout, "ticket_source_timeout", proxyerror.ResponseTimeout, "GatewayTimeout", "The ticket could not be looked up in time")

	errTimeout        = refuse(http.StatusGatewayTimeout, "service_timeout", proxyerror.ResponseTimeout, "GatewayTimeout", "The integration service did not answer in time")
	errConnectTimeout = refuse(http.StatusGatewayTimeout, "service_timeout", proxyerror.ConnectionTimeout, "GatewayTimeout", "The integration service did not answer in time")
	errUnreachable    = refuse(http.StatusBadGateway, "service_unreachable", proxyerror.ConnectionRefused, "BadGateway", "The integration service cannot be reached")
	errUnresolved     = refuse(http.StatusBadGateway, "service_unreachable", proxyerror.DNSError, "BadGateway", "The integration service cannot be reached")
	errProhibited     = refuse(http.StatusBadGateway, "service_unreachable", proxyerror.ProhibitedIP, "BadGateway", "The integration service cannot be reached")
	errCertificate    = refuse(http.StatusBadGateway, "service_unreachable", proxyerror.TLSCertificate, "BadGateway", "The integration service cannot be reached")
	errTLS            = refuse(http.StatusBadGateway, "service_unreachable", proxyerror.TLSProtocol, "BadGateway", "The integration service cannot be reached")
	errTerminated     = refuse(http.StatusBadGateway, "service_failed", proxyerror.ConnectionTerminated, "BadGateway", "The integration service did not give an answer")
	errProtocol       = refuse(http.StatusBadGateway, "service_failed", proxyerror.ProtocolError, "BadGateway", "The integration service did not give a valid answer")
	errAnswer         = refuse(http.StatusBadGateway, "service_answer_invalid", proxyerror.ProtocolError, "BadGateway", "The integration service did not answer with JSON")
	errRedirect       = refuse(http.StatusBadGateway, "service_redirected", proxyerror.ProtocolError, "BadGateway", "The integration service answered with a redirect")
	errAnswerSize     = refuse(http.StatusBadGateway, "service_answer_too_large", "http_response_body_size", "BadGateway", "The integration service's answer is too large")
)

// byProxyError are the refusals of what the network or TLS did.
var byProxyError = map[string]*refusal{
	proxyerror.ConnectionRefused:    errUnreachable,
	proxyerror.ConnectionTerminated: errTerminated,
	proxyerror.ConnectionTimeout:    errConnectTimeout,
	proxyerror.DNSError:             errUnresolved,
	proxyerror.ProhibitedIP:         errProhibited,
	proxyerror.ResponseTimeout:      errTimeout,
	proxyerror.TLSCertificate:       errCertificate,
	proxyerror.TLSProtocol:          errTLS,
}

// byBody are the refusals of a body that ended early.
var byBody = map[*problem.Problem]*refusal{
	problem.BodyTooLarge:   refuse(http.StatusRequestEntityTooLarge, problem.BodyTooLarge.Code, requestError, "PayloadTooLarge", problem.BodyTooLarge.Message),
	problem.BodyIncomplete: refuse(http.StatusBadRequest, problem.BodyIncomplete.Code, requestError, "BadRequest", problem.BodyIncomplete.Message),
	problem.BodyTimeout:    refuse(http.StatusRequestTimeout, problem.BodyTimeout.Code, requestError, "RequestTimeout", problem.BodyTimeout.Message),
	problem.ClientGone:     errClientGone,
}

// errClientGone is only for logs and metrics: nobody is there to read it.
var errClientGone = &refusal{status: problem.ClientGone.Status, reason: problem.ClientGone.Code}
