package connector

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"golang.org/x/net/http2"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/f737063d/caddy-connector/internal/problem"
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
	errBodyTooLarge = &problem.Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: "The request body is too large.", ProxyError: "http_request_error",
	}
	errBodyIncomplete = &problem.Problem{
		Status: http.StatusBadRequest, Code: "body_incomplete",
		Message: "The request body ended before it was complete.", ProxyError: "http_request_error",
	}
	errBodyTimeout = &problem.Problem{
		Status: http.StatusRequestTimeout, Code: "body_timeout",
		Message: "The request body did not arrive in time.", ProxyError: "http_request_error",
	}
	errClientGone = &problem.Problem{Status: 499, Code: "client_gone"} // only for logs and metrics

	errRefused = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: "connection_refused",
	}
	errUnresolved = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: "dns_error",
	}
	errCertificate = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: "tls_certificate_error",
	}
	errTLS = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_unreachable",
		Message: "The integration cannot be reached.", ProxyError: "tls_protocol_error",
	}
	errConnectTimeout = &problem.Problem{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "The integration did not answer in time.", ProxyError: "connection_timeout",
	}
	errAnswerTimeout = &problem.Problem{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "The integration did not answer in time.", ProxyError: "http_response_timeout",
	}
	errTerminated = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_failed",
		Message: "The integration did not give an answer.", ProxyError: "connection_terminated",
	}
	errProtocol = &problem.Problem{
		Status: http.StatusBadGateway, Code: "upstream_failed",
		Message: "The integration did not give a valid answer.", ProxyError: "http_protocol_error",
	}
	errAuthorizationURL = &problem.Problem{
		Status: http.StatusBadGateway, Code: "authorization_url_invalid",
		Message: "The integration's authorization_url is not an absolute https URL.", ProxyError: "http_protocol_error",
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
	if errors.Is(context.Cause(ctx), errStalled) {
		return failure{errAnswerTimeout, errStalled.Error()}
	}
	if clientErr := ex.body.failed(); clientErr != nil {
		return failure{clientProblem(ex.inbound.Context(), clientErr), "reading the request body"}
	}
	if ex.inbound.Context().Err() != nil {
		return failure{errClientGone, "the client is gone"}
	}
	if errors.Is(err, errLoopBehind) {
		return failure{errLoop, errLoopBehind.Error()}
	}
	if errors.Is(err, errAnswerRefused) {
		return failure{errAuthorizationURL, err.Error()}
	}
	if p := netProblem(err); p != nil {
		return failure{p, err.Error()}
	}
	return failure{errProtocol, "malformed answer"}
}

// clientProblem finds whose fault it was that the request body ended early.
func clientProblem(ctx context.Context, err error) *problem.Problem {
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return errBodyTooLarge
	case ctx.Err() != nil:
		return errClientGone
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errBodyTimeout
	}
	return errBodyIncomplete
}

// netProblem returns the problem of an error that the network or TLS made, or
// nil.
func netProblem(err error) *problem.Problem {
	var netErr net.Error
	switch {
	case errors.As(err, new(reverseproxy.DialError)):
		return dialProblem(err.Error())
	case errors.As(err, &netErr) && netErr.Timeout():
		return errAnswerTimeout
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.HostnameError)),
		errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.CertificateInvalidError)):
		return errCertificate
	case errors.As(err, new(tls.RecordHeaderError)), errors.As(err, new(tls.AlertError)):
		return errTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.As(err, new(http2.StreamError)),
		err.Error() == "http: server closed idle connection":
		return errTerminated
	}
	return nil
}

// dialProblem goes by the text of net's error, because DialError does not
// unwrap to it.
func dialProblem(text string) *problem.Problem {
	switch {
	case strings.Contains(text, "lookup "):
		return errUnresolved
	case strings.HasSuffix(text, "i/o timeout"):
		return errConnectTimeout
	}
	return errRefused
}
