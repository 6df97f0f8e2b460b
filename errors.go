package connector

import (
	"context"
	"errors"
	"net/http"

	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
	"github.com/f737063d/caddy-connector/internal/stall"
)

// What the edge answers itself. The codes are part of the interface.
var (
	errNoUser = &problem.Problem{
		Status: http.StatusUnauthorized, Code: "user_missing",
		Message: "The request has no authenticated user.", ProxyError: "http_request_denied",
	}
	errInvalidUser = &problem.Problem{
		Status: http.StatusForbidden, Code: "user_invalid",
		Message: "The user's id cannot be sent in a header.", ProxyError: "http_request_denied",
	}
	errUnknownService = &problem.Problem{
		Status: http.StatusNotFound, Code: "service_unknown",
		Message: "There is no service with this id.", ProxyError: "destination_not_found",
	}
	errInvalidPath = &problem.Problem{
		Status: http.StatusBadRequest, Code: "path_invalid",
		Message: "The path has a dot segment, a backslash, a fragment or a control character.", ProxyError: "http_request_error",
	}
	errMethod = &problem.Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Message: "This method is not forwarded.", ProxyError: "http_request_denied",
	}
	errInvalidUpgrade = &problem.Problem{
		Status: http.StatusBadRequest, Code: "upgrade_invalid",
		Message: "The Upgrade header is not a protocol name.", ProxyError: "http_request_error",
	}
	errLoop = &problem.Problem{
		Status: http.StatusLoopDetected, Code: "loop_detected",
		Message: "The service's Proxy URL leads back here.", ProxyError: problem.ProxyLoop,
	}
	errRefused = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: proxyerror.ConnectionRefused,
	}
	errUnresolved = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: proxyerror.DNSError,
	}
	errCertificate = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: proxyerror.TLSCertificate,
	}
	errTLS = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: proxyerror.TLSProtocol,
	}
	errConnectTimeout = &problem.Problem{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "The integration did not answer in time.", ProxyError: proxyerror.ConnectionTimeout,
	}
	errAnswerTimeout = &problem.Problem{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "The integration did not answer in time.", ProxyError: proxyerror.ResponseTimeout,
	}
	errTerminated = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_failed",
		Message: "The integration did not give an answer.", ProxyError: proxyerror.ConnectionTerminated,
	}
	errProtocol = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_failed",
		Message: "The integration did not give a valid answer.", ProxyError: proxyerror.ProtocolError,
	}
	errAuthorizationURL = &problem.Problem{
		Status: http.StatusBadGateway, Code: "authorization_url_invalid",
		Message: "The integration's authorization_url is not an absolute https URL.", ProxyError: proxyerror.ProtocolError,
	}
)

// errLoopBehind is an answer in which an edge tells of a loop: this one further
// on, or one that it leads through.
var errLoopBehind = errors.New("the upstream tells of a loop")

// reject answers p and counts it.
func reject(w http.ResponseWriter, p *problem.Problem) error {
	rejectionsTotal.WithLabelValues(p.Code).Inc()
	p.Write(w)
	return nil
}

// failure is why an exchange failed: what the client is told, and what the log
// is told.
type failure struct {
	problem *problem.Problem
	text    string
}

// classify finds the failure behind an error of the transport. Only errors
// whose text is known to hold no bytes of the upstream's answer, which may echo
// the secret, are logged as they are.
func (ex *exchange) classify(ctx context.Context, err error) failure {
	if errors.Is(context.Cause(ctx), stall.Err) {
		return failure{errAnswerTimeout, stall.Err.Error()}
	}
	if clientErr := ex.body.failed(); clientErr != nil {
		return failure{problem.OfBody(ex.inbound.Context(), clientErr), "reading the request body"}
	}
	if ex.inbound.Context().Err() != nil {
		return failure{problem.ClientGone, "the client is gone"}
	}
	if errors.Is(err, errLoopBehind) {
		return failure{errLoop, errLoopBehind.Error()}
	}
	if errors.Is(err, errAnswerRefused) {
		return failure{errAuthorizationURL, err.Error()}
	}
	if p := byProxyError[proxyerror.Of(err)]; p != nil {
		return failure{p, err.Error()}
	}
	return failure{errProtocol, "malformed answer"}
}

// byProxyError are the problems of what the network or TLS did.
var byProxyError = map[string]*problem.Problem{
	proxyerror.ConnectionRefused:    errRefused,
	proxyerror.ConnectionTerminated: errTerminated,
	proxyerror.ConnectionTimeout:    errConnectTimeout,
	proxyerror.DNSError:             errUnresolved,
	proxyerror.ResponseTimeout:      errAnswerTimeout,
	proxyerror.TLSCertificate:       errCertificate,
	proxyerror.TLSProtocol:          errTLS,
}
