// Package proxyerror names what went wrong between the edge and an upstream.
package proxyerror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"golang.org/x/net/http2"

	"github.com/f737063d/caddy-connector/internal/egress"
)

// The proxy error types of RFC 9209, section 2.3, that Of tells apart.
const (
	ConnectionRefused    = "connection_refused"
	ConnectionTerminated = "connection_terminated"
	ConnectionTimeout    = "connection_timeout"
	DNSError             = "dns_error"
	ProhibitedIP         = "destination_ip_prohibited"
	ProtocolError        = "http_protocol_error"
	ResponseTimeout      = "http_response_timeout"
	TLSCertificate       = "tls_certificate_error"
	TLSProtocol          = "tls_protocol_error"
)

// Of returns the type of an error that the network or TLS made, or "". Only the
// text of an error that has a type is known to hold no bytes of the upstream's
// answer, which may echo a secret; only that may be logged.
func Of(err error) string {
	var netErr net.Error
	var opErr *net.OpError
	switch {
	case errors.Is(err, egress.ErrRefused):
		return ProhibitedIP
	case strings.HasPrefix(err.Error(), "dial "):
		return ofDialText(err.Error()) // that of Caddy's transport does not unwrap to net's error
	case errors.As(err, new(*net.DNSError)):
		return DNSError
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return ResponseTimeout
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.HostnameError)),
		errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.CertificateInvalidError)):
		return TLSCertificate
	case errors.As(err, new(tls.RecordHeaderError)), errors.As(err, new(tls.AlertError)),
		errors.As(err, &opErr) && (opErr.Op == "remote error" || opErr.Op == "local error"): // alerts, in crypto/tls
		return TLSProtocol
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.As(err, new(http2.StreamError)),
		err.Error() == "http: server closed idle connection":
		return ConnectionTerminated
	}
	return ""
}

func ofDialText(text string) string {
	switch {
	case strings.Contains(text, "lookup "):
		return DNSError
	case strings.HasSuffix(text, "i/o timeout"):
		return ConnectionTimeout
	}
	return ConnectionRefused
}
