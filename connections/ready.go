package connections

import (
	"crypto/sha256"
	"sync"

	"golang.org/x/time/rate"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/internal/egress"
)

// ready is a snapshot of a connection, made ready for requests to an API as one
// config has it.
type ready struct {
	api         *API
	credentials []credential.Credential
	limiter     *rate.Limiter // nil: there is no limit
	token       oauth.Record  // of an API with oauth2
	certificate *credential.ClientCertificate
	err         error // why it cannot be used
}

// ready returns it, from the snapshot's own memory but for the first time.
func (a *API) ready(c *vault.Connection) (*ready, error) {
	if known, ok := c.Memo().Load().(*ready); ok && known.api == a {
		return known, known.err
	}
	made := a.prepare(c)
	c.Memo().Store(made) // of two at once, either will do
	return made, made.err
}

func (a *API) prepare(c *vault.Connection) *ready {
	made := &ready{api: a, limiter: a.limiter(c.ID)}
	switch {
	case c.Status == vault.ReauthRequired:
		made.err = errReauth
		return made
	case c.Status == vault.Pending:
		made.err = errPending
		return made
	case c.Status == vault.Unconfirmed:
		made.err = errUnconfirmed
		return made
	case c.Secrets() != len(a.Auth):
		made.err = errMismatch
		return made
	}
	made.credentials = make([]credential.Credential, len(a.Auth))
	for i := range made.credentials {
		var err error
		if made.credentials[i], err = a.auth.Read(i, c.Secret(i)); err != nil {
			made.err = errMismatch
			return made
		}
	}
	if a.oauth != nil {
		made.token, made.err = a.record(c)
	}
	if certificate, ok := credential.ClientCertificateOf(made.credentials); ok {
		made.certificate = &certificate
	}
	return made
}

// transport returns what requests go out by.
func (r *ready) transport(all *clients) *egress.Transport {
	if r.certificate == nil {
		return all.base
	}
	return all.of(*r.certificate)
}

// maxClients is how many client certificates have connections open.
const maxClients = 256

// clients are the ways out, one for each client certificate: a connection that
// was made with one must not be used for another user's requests.
type clients struct {
	base *egress.Transport

	mu   sync.Mutex
	open map[[sha256.Size]byte]*egress.Transport
}

func (c *clients) of(certificate credential.ClientCertificate) *egress.Transport {
	id := certificate.ID()
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.open[id]; known != nil {
		return known
	}
	for other, transport := range c.open {
		if len(c.open) < maxClients {
			break
		}
		delete(c.open, other)
		transport.CloseIdleConnections() // what is under way goes on
	}
	if c.open == nil {
		c.open = make(map[[sha256.Size]byte]*egress.Transport)
	}
	made := c.base.ForClient(certificate.Get, certificate.RootCAs())
	c.open[id] = made
	return made
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, transport := range c.open {
		transport.CloseIdleConnections()
	}
}
