package egress

import (
	"net/netip"
	"testing"
)

func TestPermits(t *testing.T) {
	transport := NewTransport(Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00::/16")}})
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true, "10.20.1.1": true, "::ffff:10.20.1.1": true, "fd00::1": true,
		"127.0.0.1": false, "::ffff:127.0.0.1": false, "::1": false, "10.21.0.1": false, "169.254.169.254": false, "168.63.129.16": false,
		"100.64.0.1": false, "0.0.0.0": false, "::": false, "224.0.0.1": false, "fe80::1": false, "fd01::1": false, "64:ff9b::7f00:1": false,
	} {
		if got := transport.Permits(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if transport.Permits(netip.Addr{}) {
		t.Error("no address is permitted")
	}
}
