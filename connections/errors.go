package connections

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/target"
	"github.com/f737063d/caddy-connector/connections/template"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
	"github.com/f737063d/caddy-connector/internal/stall"
)

// refusal is a problem as an error.
type refusal struct{ *problem.Problem }

// Error implements error.
func (r *refusal) Error() string { return r.Code }

// RFC 9209 proxy error types.
const (
	requestError  = "http_request_error"
	requestDenied = "http_request_denied"
	internalError = "proxy_internal_error"
	notFound      = "destination_not_found"
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
	errNoCaller = refuse(http.StatusUnauthorized, "caller_missing", requestDenied, "The request has no authenticated user, and no API key.")
	errToken    = refuse(http.StatusUnauthorized, "token_invalid", requestDenied, "The token is not one that is valid here.")
	errCaller   = refuse(http.StatusForbidden, "user_invalid", requestDenied, "The user's id is not 1 to 255 visible ASCII characters.")
	errMethod   = refuse(http.StatusMethodNotAllowed, "method_not_allowed", requestDenied, "This method is not allowed here.")
	errRate     = refuse(http.StatusTooManyRequests, "rate_limited", requestDenied, "The connection has made as many requests as it may.")
	errNotReady = refuse(http.StatusServiceUnavailable, "not_ready", internalError, "The database is not ready.")
	errInternal = refuse(http.StatusInternalServerError, "internal", internalError, "The request could not be carried out.")

	errUnknown     = refuse(http.StatusNotFound, "connection_unknown", notFound, "There is no connection with this id.")
	errNoAPI       = refuse(http.StatusNotFound, "api_unknown", notFound, "The connection's API is not there any more.")
	errPending     = refuse(http.StatusFailedDependency, "connection_pending", requestDenied, "The user has not connected to the API yet.")
	errReauth      = refuse(http.StatusFailedDependency, "connection_reauth_required", requestDenied, "The user must connect to the API again.")
	errUnconfirmed = refuse(http.StatusFailedDependency, "connection_unconfirmed", requestDenied, "The connection's owner has not confirmed that it was they who signed in.")
	errMismatch    = refuse(http.StatusFailedDependency, "credentials_outdated", requestDenied, "The API takes other credentials than the connection has; the user must connect again.")
	errClient      = refuse(http.StatusBadGateway, "credential_refresh_failed", internalError, "The API's authorization server does not accept this edge.")
	errExpired     = refuse(http.StatusServiceUnavailable, "token_unavailable", internalError, "There is no access token that is valid now.")

	errOrigin       = refuse(http.StatusForbidden, "cross_origin", requestDenied, "The request comes from another site.")
	errOrganisation = refuse(http.StatusNotFound, "organisation_unknown", notFound, "There is no such organisation, or it is not the caller's.")
	errConnector    = refuse(http.StatusNotFound, "connector_unknown", notFound, "There is no connector with this id.")
	errLimit        = refuse(http.StatusConflict, "limit_reached", requestDenied, "The caller has as many connections as are allowed.")
	errNameTaken    = refuse(http.StatusConflict, "name_taken", requestDenied, "Another connection to this API has this name.")
	errStale        = refuse(http.StatusConflict, "connection_changed", requestDenied, "The connection has changed meanwhile; read it again.")
	errTooLarge     = refuse(http.StatusUnprocessableEntity, "connection_too_large", requestError, "The connection is larger than what is kept.")
	errTestRate     = refuse(http.StatusTooManyRequests, "rate_limited", requestDenied, "The connection was tested just now.")

	errName         = invalid("name_invalid", "The name must be a text of 1 to 255 characters.")
	errID           = invalid("id_invalid", "The id, and the connectorId and organisationId where they are there, must be those of the connection.")
	errImmutable    = invalid("credentials_immutable", "The credentials must have the types that the connection has, in order; a credential is changed under its own path.")
	errNoCredential = invalid("credential_invalid", "The credential is missing.")
	errVariables    = invalid("variables_invalid", "The variables must be an array of objects with a name and a value, each name once.")
	errMember       = invalid("member_unknown", "The body has a member that there is not.")
	errCredential   = invalid("credentials_invalid", "The credentials must be an array with one for each of the API's schemes, in order, or null where there is none yet.")
	errPageLimit    = refuse(http.StatusBadRequest, "first_invalid", requestError, "The first is not a number from 1 to 100.")
	errCursor       = refuse(http.StatusBadRequest, "cursor_invalid", requestError, "The after, or before, is not the id of a connection; or both are there.")
	errIndex        = refuse(http.StatusNotFound, "credential_unknown", notFound, "The API has no scheme with this number.")

	errNoDocument   = refuse(http.StatusConflict, "test_unsupported", requestDenied, "The API has no OpenAPI document that it could be tested against.")
	errTesting      = refuse(http.StatusTooManyRequests, "rate_limited", requestDenied, "Another test of an API is under way for the caller.")
	errConnectionID = invalid("connection_id_invalid", "The connection_id must be the id of a connection.")
	errOperations   = invalid("operations_invalid", "The operations must be an array of 1 to 32 objects with an operation_id, or with a method and a path, and parameters.")
	errOperation    = invalid("operation_unknown", "The document has no such operation.")
	errParameters   = invalid("parameters_invalid", "The parameters must be an object of texts of 1 to 1024 bytes, by the names that the operation's path, query and header have.")

	errReturnTo        = invalid("return_to_invalid", "The returnTo must be a path of this site, or one of the URLs that are set up; without a user's session, it must be one of these.")
	errNoAuthorization = refuse(http.StatusConflict, "authorization_unsupported", requestDenied, "Users do not sign in at this API.")
	errSeveralSchemes  = refuse(http.StatusConflict, "connection_required", requestDenied, "The API takes several credentials: make the connection first, and then name it here.")
	errFlow            = refuse(http.StatusBadRequest, "flow_invalid", requestDenied, "This link has expired or was used before, or it was opened in another browser or by another user. Go back to the app, and begin anew.")
	errNotGranted      = refuse(http.StatusForbidden, "authorization_denied", requestDenied, "You did not allow it, or the API has refused.")
	errNoToken         = refuse(http.StatusServiceUnavailable, "token_unavailable", internalError, "The API's authorization server gave no answer. Go back to the app, and begin anew in a moment.")

	errUnreachable = refuse(http.StatusBadGateway, "upstream_unreachable", proxyerror.ConnectionRefused, "The API cannot be reached.")
	errAnswer      = refuse(http.StatusBadGateway, "upstream_failed", proxyerror.ProtocolError, "The API did not give a valid answer.")
	errTerminated  = refuse(http.StatusBadGateway, "upstream_failed", proxyerror.ConnectionTerminated, "The API did not give an answer.")
	errTimeout     = refuse(http.StatusGatewayTimeout, "upstream_timeout", proxyerror.ResponseTimeout, "The API did not answer in time.")
)

// errSwitched is an answer that leaves HTTP, which nobody has asked for.
var errSwitched = errors.New("the API switches protocols")

// controlRefusals are the answers to what a request says of its target.
var controlRefusals = map[string]*refusal{
	target.CodeControl:    refuse(http.StatusBadRequest, target.CodeControl, requestError, "A control header is not valid."),
	target.CodePath:       refuse(http.StatusBadRequest, target.CodePath, requestError, "The path has a dot segment, a backslash, a fragment or a control character."),
	target.CodeOverride:   refuse(http.StatusBadRequest, target.CodeOverride, requestError, "The overriding base URL is not an absolute https URL."),
	target.CodeNotAllowed: refuse(http.StatusForbidden, target.CodeNotAllowed, requestDenied, "The overriding base URL is not on a host that the API allows."),

	template.CodeMissing: refuse(http.StatusUnprocessableEntity, template.CodeMissing, requestError, "A variable of the base URL has no value."),
	template.CodeInvalid: refuse(http.StatusUnprocessableEntity, template.CodeInvalid, requestError, "The value of a variable cannot stand in the base URL."),
	template.CodeUnknown: refuse(http.StatusUnprocessableEntity, template.CodeUnknown, requestError, "The base URL has no such variable."),
	template.CodeFixed:   refuse(http.StatusForbidden, template.CodeFixed, requestDenied, "A request may not set this variable."),
}

// about says which variable or header a refusal is for.
func (r *refusal) about(name string) *refusal {
	told := *r.Problem
	told.Message += " It is " + strconv.Quote(name) + "."
	return &refusal{&told}
}

// refused returns what to answer to an error.
func refused(r *http.Request, logger *zap.Logger, err error) *refusal {
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	if of, ok := errors.AsType[*target.Refusal](err); ok {
		if of.Header == "" {
			return controlRefusals[of.Code]
		}
		return controlRefusals[of.Code].about(of.Header)
	}
	if of, ok := errors.AsType[*template.Refusal](err); ok {
		return controlRefusals[of.Code].about(of.Variable)
	}
	switch {
	case errors.Is(err, vault.ErrUnknown):
		return errUnknown
	case errors.Is(err, vault.ErrNameTaken):
		return errNameTaken
	case errors.Is(err, vault.ErrLimit):
		return errLimit
	case errors.Is(err, vault.ErrStale):
		return errStale
	case errors.Is(err, vault.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, vault.ErrUnreadable):
		logger.Error("a connection's credentials cannot be opened", zap.Error(err))
		return errInternal
	case errors.Is(err, datastore.ErrNotReady):
		logger.Warn("the database cannot be used", zap.Error(err))
		return errNotReady
	case r.Context().Err() != nil:
		return &refusal{problem.ClientGone}
	}
	logger.Error("the database failed", zap.Error(err))
	return errInternal
}

// classify finds what the client is told of an attempt that failed, and what the
// log is. Only errors whose text is known to hold no bytes of the API's answer,
// which may echo a credential, are logged as they are.
func (ex *exchange) classify(ctx context.Context, err error) (told *refusal, text string) {
	if errors.Is(context.Cause(ctx), stall.Err) {
		return errTimeout, stall.Err.Error()
	}
	if failure := ex.body.failed(); failure != nil {
		return &refusal{problem.OfBody(ex.inbound.Context(), failure)}, "reading the request body"
	}
	if ex.inbound.Context().Err() != nil {
		return &refusal{problem.ClientGone}, "the client is gone"
	}
	if of, ok := errors.AsType[*oauth.Error](err); ok {
		return ofToken(of), err.Error()
	}
	switch {
	case errors.Is(err, oauth.ErrNotFound):
		return errUnknown, err.Error()
	case errors.Is(err, credential.ErrExpired):
		return errExpired, err.Error()
	case errors.Is(err, credential.ErrMismatch):
		return errMismatch, err.Error()
	case errors.Is(err, errSwitched):
		return errAnswer, err.Error()
	}
	switch kind := proxyerror.Of(err); kind {
	case "":
		return errAnswer, "malformed answer"
	case proxyerror.ConnectionTimeout, proxyerror.ResponseTimeout:
		return errTimeout.because(kind), err.Error()
	case proxyerror.ConnectionTerminated:
		return errTerminated, err.Error()
	case proxyerror.ProtocolError:
		return errAnswer, err.Error()
	default:
		return errUnreachable.because(kind), err.Error()
	}
}

// ofToken is what the client is told where there is no access token.
func ofToken(err *oauth.Error) *refusal {
	switch err.Kind {
	case oauth.Reauth:
		return errReauth
	case oauth.Misconfigured:
		return errClient
	}
	return errExpired
}

// because has another RFC 9209 proxy error type.
func (r *refusal) because(proxyError string) *refusal {
	told := *r.Problem
	told.ProxyError = proxyError
	return &refusal{&told}
}

// write sends r. The response must not have been started.
func (r *refusal) write(w http.ResponseWriter) {
	switch r {
	case errNoCaller, errToken:
		w.Header().Set("WWW-Authenticate", `Bearer realm="connections"`)
	case errMethod:
		w.Header().Set("Allow", allowedMethods)
	case errNotReady, errExpired:
		if w.Header().Get("Retry-After") == "" {
			w.Header().Set("Retry-After", strconv.Itoa(int(datastore.RetryAfter.Seconds())))
		}
	case errRate, errTestRate, errTesting:
		w.Header().Set("Retry-After", "1")
	}
	if r.Problem == problem.ClientGone {
		w.WriteHeader(r.Status)
		return
	}
	r.Problem.Write(w)
}
