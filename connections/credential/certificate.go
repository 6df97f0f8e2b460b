package credential

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// Certificate is a client certificate, by which the TLS connection to the API is
// made. Nothing of it is in the request: who sends that gets it by
// ClientCertificateOf.
type Certificate struct{}

// Type implements Scheme.
func (Certificate) Type() string { return "certificate" }

func (Certificate) check() error    { return nil }
func (Certificate) claims() []claim { return []claim{{in: onConnection}} }

func (Certificate) read(m *members) applier {
	c := certificate{
		chain: m.text("certificate", maxForm), key: SecretOf(m.text("key", maxForm)), ca: m.textOrNone("ca", maxForm),
	}
	pair, err := tls.X509KeyPair([]byte(c.chain), []byte(c.key.Reveal()))
	if err != nil {
		m.fail("certificate", "is not, with the key, a certificate and its private key in PEM")
	}
	c.client = ClientCertificate{pair: hide(pair), id: sha256.Sum256([]byte(c.chain + "\x00" + c.ca))}
	if c.ca != "" {
		c.client.roots = x509.NewCertPool()
		if !c.client.roots.AppendCertsFromPEM([]byte(c.ca)) {
			m.fail("ca", "has no certificate in PEM")
		}
	}
	return c
}

// ClientCertificate is what a TLS connection to an API is made with.
type ClientCertificate struct {
	pair  hidden[tls.Certificate]
	roots *x509.CertPool
	id    [sha256.Size]byte
}

// Get is for tls.Config.GetClientCertificate.
func (c ClientCertificate) Get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair := c.pair.reveal()
	return &pair, nil
}

// RootCAs are those that sign for the API, or nil: the system's.
func (c ClientCertificate) RootCAs() *x509.CertPool { return c.roots }

// ID tells connections of this certificate from those of others, which must not
// be used in their place.
func (c ClientCertificate) ID() [sha256.Size]byte { return c.id }

// ClientCertificateOf returns the certificate that is among credentials.
func ClientCertificateOf(credentials []Credential) (ClientCertificate, bool) {
	for _, c := range credentials {
		if certificate, ok := c.reveal().applier.(certificate); ok {
			return certificate.client, true
		}
	}
	return ClientCertificate{}, false
}

type certificate struct {
	chain  string
	key    Secret
	ca     string // or ""
	client ClientCertificate
}

func (certificate) apply(*http.Request, Attempt) error { return nil }

func (c certificate) form() any {
	return struct {
		Type        string `json:"type"`
		Certificate string `json:"certificate"`
		Key         string `json:"key"`
		CA          string `json:"ca,omitempty"`
	}{Certificate{}.Type(), c.chain, c.key.Reveal(), c.ca}
}

// Interface guard
var _ Scheme = Certificate{}
