// Package egress makes the connections to destinations that a caller or a
// tenant can influence: one guarded dialer and one transport for all of them.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// ErrRefused is in the chain of every error of a dial that the guard refused.
// The text of such an error names the address, which tells about the network
// and the names in it: it is for logs, not for clients.
var ErrRefused = errors.New("destination refused")

// azureWireServer answers for the machine that asks, as link-local metadata
// services do, but has a public address.
var azureWireServer = netip.MustParsePrefix("168.63.129.16/32")

// newDialer returns a dialer that connects to public addresses and to those of
// allow. The guard sees the address of each socket right before it connects,
// whatever was written, parsed or resolved until then, so an answer of the DNS
// that differs from an earlier one changes nothing.
func newDialer(allow []netip.Prefix) *net.Dialer {
	guardian := newGuardian(allow)
	return &net.Dialer{
		Timeout: connectTimeout,
		ControlContext: func(_ context.Context, network, address string, conn syscall.RawConn) error {
			if err := guardian.Safe(network, address, conn); err != nil {
				return fmt.Errorf("%w: %w", ErrRefused, err)
			}
			return nil
		},
	}
}

func newGuardian(allow []netip.Prefix) *ssrf.Guardian {
	v4, v6 := split(allow)
	return ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...),
		ssrf.WithDeniedV4Prefixes(azureWireServer))
}

// split sorts prefixes by the family that their addresses are dialled in. Go
// dials an IPv4-mapped address as the IPv4 address that it stands for.
func split(prefixes []netip.Prefix) (v4, v6 []netip.Prefix) {
	for _, prefix := range prefixes {
		prefix = prefix.Masked()
		if prefix.Addr().Is4In6() {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		switch {
		case !prefix.IsValid():
		case prefix.Addr().Is4():
			v4 = append(v4, prefix)
		default:
			v6 = append(v6, prefix)
		}
	}
	return v4, v6
}
