// Package loopback knows the hosts that never leave the machine.
package loopback

import (
	"net/netip"
	"strings"
)

// IsHost reports whether a URL's host name is localhost or an address of the
// loopback interface, also one in IPv6 form.
func IsHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}
