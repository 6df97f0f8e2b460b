package subscriptions

import (
	"errors"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/jsonbody"
	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

// refusal is a problem as an error.
type refusal struct{ *problem.Problem }

// Error implements error.
func (r *refusal) Error() string { return r.Code }

// atIndex says which of several events a refusal is for.
func (r *refusal) atIndex(i int) *refusal {
	told := *r.Problem
	told.Message = "At index " + strconv.Itoa(i) + ": " + told.Message
	return &refusal{&told}
}

// RFC 9209 proxy error types.
const (
	requestError  = "http_request_error"
	requestDenied = "http_request_denied"
	internalError = "proxy_internal_error"
)

func refuse(status int, code, proxyError, message string) *refusal {
	return &refusal{&problem.Problem{Status: status, Code: code, Message: message, ProxyError: proxyError}}
}

// invalid is a refusal on account of what the body says.
func invalid(code, message string) *refusal {
	return refuse(http.StatusUnprocessableEntity, code, requestError, message)
}

// What the edge answers. The codes are part of the interface.
var (
	errMethod    = refuse(http.StatusMethodNotAllowed, "method_not_allowed", requestDenied, "This method is not allowed here.")
	errNoUser    = refuse(http.StatusUnauthorized, "user_missing", requestDenied, "The request has no authenticated user.")
	errUser      = refuse(http.StatusForbidden, "user_invalid", requestDenied, "The user's id is not 1 to 255 visible ASCII characters.")
	errOrigin    = refuse(http.StatusForbidden, "cross_origin", requestDenied, "The request comes from another site.")
	errMediaType = &refusal{jsonbody.ErrMediaType}
	errNotReady  = refuse(http.StatusServiceUnavailable, "not_ready", internalError, "The database is not ready.")
	errInternal  = refuse(http.StatusInternalServerError, "internal", internalError, "The request could not be carried out.")

	errUnknown   = refuse(http.StatusNotFound, "subscription_unknown", requestDenied, "There is no subscription with this id.")
	errEnded     = refuse(http.StatusConflict, "subscription_ended", requestDenied, "The subscription has ended, because its target answered 410; subscribe again.")
	errExists    = refuse(http.StatusConflict, "subscription_exists", requestDenied, "There is another subscription with this target, resource and events.")
	errLimit     = refuse(http.StatusConflict, "limit_reached", requestDenied, "The user has as many subscriptions as are allowed.")
	errPageLimit = refuse(http.StatusBadRequest, "limit_invalid", requestError, "The limit is not a number from 1 to 100.")
	errCursor    = refuse(http.StatusBadRequest, "cursor_invalid", requestError, "The cursor is not one that a page ended with.")

	errTarget        = invalid("target_url_invalid", "The target_url must be an absolute https URL of at most 2048 characters, without user or fragment.")
	errTargetRefused = invalid("target_url_refused", "The target_url is at an address, or a port, that nothing is delivered to.")
	errHandshake     = invalid("handshake_invalid", "The handshake must be x-hook-secret, websub, or, where it is set up, cloudevents.")
	errShake         = invalid("handshake_failed", "The target did not answer the handshake as it has to.")
	errResourceType  = invalid("resource_type_unknown", "The resource_type is not one of those that can be subscribed to.")
	errResourceID    = invalid("resource_id_invalid", "The resource_id must be a text of 1 to 255 characters or a whole number.")
	errEventsNone    = invalid("events_missing", "The events must be an array of at least one type of event.")
	errEvents        = invalid("events_unknown", "An event is neither a type that there is nor a wildcard, such as task.*, that matches one.")
	errSecret        = invalid("secret_invalid", "The secret must be whsec_ and the base64 of 24 to 64 bytes; with v1a there is none.")
	errOrdered       = invalid("ordered_invalid", "The member ordered must be true or false.")
	errFlat          = invalid("flat_invalid", "The member flat must be true or false.")
	errHeaders       = invalid("headers_invalid", "The headers must be an object of at most 16 names, each of at most 64 characters and once, and values of 1 to 1024 visible ASCII characters and inner spaces.")
	errOwnHeader     = invalid("header_reserved", "One of the headers is not for subscribers: the edge sets it, or it is for one connection only.")
	errSignature     = invalid("signature_invalid", "The signature must be v1 or v1a.")
	errRate          = invalid("rate_limit_invalid", "The rate_limit must be a whole number from 1 to 1000, or null.")
	errExpiry        = invalid("expires_at_invalid", "The expires_at must be a time in the future, as in RFC 3339.")
	errStatus        = invalid("status_invalid", "The status must be active or paused.")
	errNoChange      = invalid("change_missing", "The body has nothing that can be changed.")

	errTypeUnknown = refuse(http.StatusNotFound, "event_type_unknown", requestDenied, "There is no such type of event.")
)

// What is answered on account of resources.
var (
	errResourcePath   = refuse(http.StatusNotFound, "resource_type_unknown", requestDenied, "There is no such type of resources.")
	errResourcePublic = refuse(http.StatusNotFound, "resource_type_not_listed", requestDenied, "The resources of this type are not listed: every id can be subscribed to.")
	errResourceSearch = refuse(http.StatusBadRequest, "q_invalid", requestError, "The q is longer than 255 characters or not UTF-8.")
	errResourceDenied = refuse(http.StatusForbidden, "resource_denied", requestDenied, "The resource is none that this user sees.")

	errResourcesDenied  = refuse(http.StatusForbidden, "resources_denied", requestDenied, "The user may see no resources of this type.")
	errResourcesFailed  = refuse(http.StatusBadGateway, "resources_failed", proxyerror.ProtocolError, "The user's resources could not be looked up.")
	errResourcesInvalid = refuse(http.StatusBadGateway, "resources_invalid", proxyerror.ProtocolError, "What the user's resources were looked up in gave no valid answer.")
	errResourcesTimeout = refuse(http.StatusGatewayTimeout, "resources_timeout", proxyerror.ResponseTimeout, "The user's resources could not be looked up in time.")
)

// What publishers are answered, besides.
var (
	errPublishBody    = refuse(http.StatusBadRequest, "body_invalid", requestError, "The body is not JSON objects in UTF-8, with each member once.")
	errIdempotencyKey = refuse(http.StatusBadRequest, "idempotency_key_invalid", requestError, "The Idempotency-Key must be 1 to 255 visible ASCII characters, once.")
	errNoEvents       = invalid("events_missing", "The body has no event.")
	errManyEvents     = invalid("too_many_events", "The body has more events than are allowed in one request.")

	errEvent           = invalid("event_invalid", "The event is not a JSON object, with each member once.")
	errEventType       = invalid("event_type_invalid", "The event's type must be segments of a-z, 0-9 and _ with dots between them, at most 128 characters.")
	errEventResourceID = invalid("event_resource_id_invalid", "The event's resource_id must be a text of 1 to 255 characters or a whole number.")
	errEventResource   = invalid("event_resource_type_invalid", "The event's resource_type must be 1 to 64 letters, digits, '_', '.' and '-'.")
	errEventReserved   = invalid("event_resource_type_reserved", "The resource_type subscription is for what the edge itself has to tell.")
	errEventAccountID  = invalid("event_account_id_invalid", "The event's account_id must be a text of 1 to 255 characters or a whole number.")
	errEventID         = invalid("event_id_invalid", "The event's id must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -.")
	errEventRepeated   = invalid("event_id_repeated", "The event's id is that of one before it.")
	errEventData       = invalid("event_data_invalid", "The event's data must be a JSON object.")
	errEventDataDeep   = invalid("event_data_invalid", "The event's data is nested more than 500 levels deep.")
	errEventDataSize   = invalid("event_data_too_large", "The event's data is larger than is allowed.")

	errEventTypeUnknown     = invalid("event_type_unknown", "The event's type is not one of those that can be subscribed to.")
	errCloudEventVersion    = invalid("cloudevent_specversion_unsupported", "The CloudEvent's specversion must be 1.0.")
	errCloudEventBinary     = invalid("cloudevent_data_base64", "The CloudEvent's data must be a JSON object, not data_base64.")
	errCloudEventSubject    = invalid("event_resource_id_invalid", "The CloudEvent's subject, which is the resource_id, must be a text of 1 to 255 characters.")
	errCloudEventAccount    = invalid("event_account_id_invalid", "The CloudEvent's accountid must be a text of 1 to 255 characters or a whole number.")
	errEventDataUncheckable = invalid("event_data_invalid", "The event's data is nested too deeply, or has too long a number, to be checked against the schema of its type.")
)

// refused returns what to answer to an error. What only an operator can do
// something about is logged: the errors of the database hold no secrets.
func refused(r *http.Request, logger *zap.Logger, err error) *refusal {
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	switch {
	case errors.Is(err, datastore.ErrNotReady):
		logger.Warn("the database cannot be used", zap.Error(err))
		return errNotReady
	case r.Context().Err() != nil:
		return &refusal{problem.ClientGone}
	}
	logger.Error("the database failed", zap.Error(err))
	return errInternal
}

// write sends r. The response must not have been started.
func (r *refusal) write(w http.ResponseWriter) {
	switch r {
	case errNoUser:
		w.Header().Set("WWW-Authenticate", `Session realm="edge"`)
	case errNotReady:
		w.Header().Set("Retry-After", strconv.Itoa(int(datastore.RetryAfter.Seconds())))
	case errTestRate, errOwnerRate:
		w.Header().Set("Retry-After", "1")
	}
	if r.Problem == problem.ClientGone {
		w.WriteHeader(r.Status)
		return
	}
	r.Write(w)
}

// Interface guard
var _ error = (*refusal)(nil)
