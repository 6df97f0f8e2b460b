package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"code.dny.dev/ssrf"
)

// UserAgent is how the edge presents itself to what it asks.
const UserAgent = "caddy-connector"

// How long each step of a request may take.
const (
	connectTimeout   = 5 * time.Second // the lookup of the name included
	handshakeTimeout = 5 * time.Second
	headerTimeout    = 30 * time.Second // from the last byte of the request
	totalTimeout     = 30 * time.Second // where the request's context has no deadline
	idleTimeout      = 90 * time.Second
)

// How much a destination may make the edge hold.
const (
	maxHeaderBytes = 64 << 10
	maxIdle        = 1024
	maxIdlePerHost = 512
)

var (
	errScheme   = errors.New("URL is neither http nor https")
	errUserinfo = errors.New("URL has userinfo")
)

// Config is what shapes a Transport.
type Config struct {
	Allow   []netip.Prefix // ranges opened beside the public addresses
	RootCAs *x509.CertPool // nil: the system's
}

// Transport is an http.RoundTripper that connects to public addresses and to
// those that its Config opens. It uses no proxy, follows no redirect and leaves
// a compressed body as it is.
type Transport struct {
	base     *http.Transport
	guardian *ssrf.Guardian
}

// NewTransport returns a Transport with a connection pool of its own.
func NewTransport(cfg Config) *Transport {
	t := newTransport(newDialer(cfg.Allow), cfg.RootCAs)
	t.guardian = newGuardian(cfg.Allow)
	return t
}

func newTransport(dialer *net.Dialer, roots *x509.CertPool) *Transport {
	return &Transport{base: &http.Transport{
		Proxy:                  nil, // it would dial in the guard's place
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // what isn't decoded is no decompression bomb
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		ForceAttemptHTTP2:      true, // a dialer of one's own turns it off
	}}
}

// RoundTrip implements http.RoundTripper. A request whose context has no
// deadline gets one of 30 seconds, which covers the response's body too and is
// released when that is read to its end or closed. Who streams, or switches
// protocols, sets a deadline of their own.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, ok := req.Context().Deadline(); ok {
		return t.Stream(req)
	}
	ctx, release := context.WithTimeout(req.Context(), totalTimeout)
	res, err := t.Stream(req.WithContext(ctx))
	if err != nil {
		release()
		return nil, err
	}
	res.Body = &timedBody{res.Body, release}
	return res, nil
}

// Stream is RoundTrip for who bounds the time of both bodies by other means than
// a deadline.
func (t *Transport) Stream(req *http.Request) (*http.Response, error) {
	if err := check(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	return t.base.RoundTrip(req)
}

// ForClient returns a Transport with connections of its own, which a client
// certificate is for. It dials what t does. The roots are those that sign for its
// destinations, or nil for t's.
func (t *Transport) ForClient(certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error), roots *x509.CertPool) *Transport {
	own := &Transport{base: t.base.Clone(), guardian: t.guardian}
	own.base.TLSClientConfig.GetClientCertificate = certificate
	if roots != nil {
		own.base.TLSClientConfig.RootCAs = roots
	}
	return own
}

// Permits reports whether the guard lets an address be dialled, so that one that
// it would refuse can be refused where it is written. It does not stand in for
// the guard: a name can lead anywhere by the time it is dialled.
func (t *Transport) Permits(addr netip.Addr) bool {
	return addr.IsValid() && t.guardian.SafeAddr(addr.Unmap()) == nil // mapped, it is dialled as IPv4
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// check refuses a URL that is for another kind of client, or whose userinfo
// net/http would send as credentials.
func check(u *url.URL) error {
	switch {
	case u == nil || u.Scheme != "http" && u.Scheme != "https":
		return errScheme
	case u.User != nil:
		return errUserinfo
	}
	return nil
}

// Interface guard
var _ http.RoundTripper = (*Transport)(nil)
