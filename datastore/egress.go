package datastore

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/f737063d/caddy-connector/internal/egress"
)

// Egress says what may be dialled for callers and tenants: integration services
// of `any_channel`, for one. Whether a destination may be dialled is decided by
// the address that its name resolves to, when it is dialled. Loopback, private,
// link-local, shared (CGNAT), multicast and reserved addresses are refused,
// their IPv6 forms too. No proxy of the environment is used, and no redirect is
// followed. URLs that only the operator writes, such as a service's Proxy URL,
// are not meant here.
type Egress struct {
	// Ranges to open, such as `10.20.0.0/16`, or single addresses.
	// Default: none.
	Allow []string `json:"allow,omitempty"`

	// Certificate authorities to trust beside the system's: a module that lists
	// its certificates, such as `file`, `inline`, `pki_root` or `storage`.
	TrustPoolRaw json.RawMessage `json:"trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`
}

// metadataServices are where clouds keep the credentials of their machines.
var metadataServices = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("fd00:ec2::254"),
}

func (e *Egress) provision(ctx caddy.Context, logger *zap.Logger) (egress.Config, error) {
	var config egress.Config
	for _, text := range e.Allow {
		prefix, err := parseRange(text)
		if err != nil {
			return config, err
		}
		if slices.ContainsFunc(metadataServices, prefix.Contains) {
			logger.Warn("egress opens the address of cloud metadata services", zap.String("allow", text))
		}
		config.Allow = append(config.Allow, prefix)
	}
	var err error
	config.RootCAs, err = e.roots(ctx)
	return config, err
}

// roots returns the system's certificate authorities and those of the trust
// pool, or nil for just the system's.
func (e *Egress) roots(ctx caddy.Context) (*x509.CertPool, error) {
	if e.TrustPoolRaw == nil {
		return nil, nil
	}
	mod, err := ctx.LoadModule(e, "TrustPoolRaw")
	if err != nil {
		return nil, fmt.Errorf("loading trust_pool: %w", err)
	}
	provider, ok := mod.(caddytls.CertificateProvider)
	if !ok {
		return nil, errors.New("trust_pool: this module does not list its certificates, so they cannot be added to the system's")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("trust_pool: %w", err)
	}
	for _, cert := range provider.Certificates() {
		roots.AddCert(cert)
	}
	return roots, nil
}

// parseRange reads a CIDR range or an address.
func parseRange(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("allow '%s' is neither an address nor a range such as 10.20.0.0/16", text)
	}
	if prefix != prefix.Masked() {
		return prefix, fmt.Errorf("allow '%s' has bits beyond its length; '%s' would be the range", text, prefix.Masked())
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96) // which is what is dialled
	}
	return prefix, nil
}
