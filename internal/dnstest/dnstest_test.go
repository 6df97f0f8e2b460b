package dnstest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestServe(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	later := netip.MustParseAddr("192.0.2.2")
	mapped := netip.MustParseAddr("::ffff:192.0.2.3")
	resolver := Serve(t, func(name string, query int) []netip.Addr {
		switch name {
		case "both.test":
			return []netip.Addr{v4, v6}
		case "changing.test":
			if query == 1 {
				return []netip.Addr{v4}
			}
			return []netip.Addr{later}
		case "mapped.test":
			return []netip.Addr{mapped}
		case "empty.test":
			return []netip.Addr{}
		}
		return nil
	})
	for _, tc := range []struct {
		network, name string
		want          []netip.Addr
	}{
		{"ip", "both.test", []netip.Addr{v4, v6}},
		{"ip4", "both.test", []netip.Addr{v4}},
		{"ip6", "both.test", []netip.Addr{v6}},
		{"ip", "BOTH.test.", []netip.Addr{v4, v6}},
		{"ip", "changing.test", []netip.Addr{v4}},
		{"ip", "CHANGING.test", []netip.Addr{later}},
		{"ip", "changing.test", []netip.Addr{later}},
		{"ip", "mapped.test", []netip.Addr{mapped.Unmap()}},
		{"ip", "empty.test", nil},
		{"ip", "missing.test", nil},
	} {
		got, err := resolver.LookupNetIP(t.Context(), tc.network, tc.name)
		for i := range got {
			got[i] = got[i].Unmap() // the resolver writes IPv4 either way
		}
		slices.SortFunc(got, netip.Addr.Compare)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s %s: %v (%v), want %v", tc.network, tc.name, got, err, tc.want)
		}
		if dnsErr := (*net.DNSError)(nil); tc.want == nil && (!errors.As(err, &dnsErr) || !dnsErr.IsNotFound) {
			t.Errorf("%s %s: error %v, want one that it is not found", tc.network, tc.name, err)
		}
	}
}
