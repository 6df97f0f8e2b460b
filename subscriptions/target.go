package subscriptions

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// reaches reports whether what a valid target names may be delivered to: not an
// address that the guard of the way out refuses, in whatever spelling, nor a
// name of this machine, nor a port of another service. Where a name leads, the
// guard finds out at each delivery.
func (h *Handler) reaches(target string) bool {
	u, err := url.Parse(target)
	return err == nil && validPort(u.Port()) && h.reachesHost(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")))
}

// validPort allows the ports of the web and those from 1024. All others are, if
// anything, of services that are not the web's.
func validPort(port string) bool {
	if port == "" {
		return true
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && (number == 80 || number == 443 || number >= 1024)
}

var loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

func (h *Handler) reachesHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return h.transport.Permits(addr) // never with a zone
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return h.transport.Permits(loopback[0]) || h.transport.Permits(loopback[1])
	}
	// what was percent-encoded can become an address, with digits of another script
	if host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return false
	}
	return !isNumeric(host[strings.LastIndexByte(host, '.')+1:])
}

// isNumeric reports whether a name that ends with this label is an IPv4 address
// to some resolvers, in another spelling than usual: no name of the DNS ends so.
func isNumeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
