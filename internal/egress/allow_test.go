package egress

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAllow(t *testing.T) {
	for _, tc := range []struct {
		allow        string
		opened, left []string
	}{
		{
			allow:  "10.20.0.0/16",
			opened: []string{"10.20.0.0", "10.20.0.1", "10.20.255.255", "::ffff:10.20.0.1", "::ffff:a14:1"},
			left:   []string{"10.19.255.255", "10.21.0.0", "10.0.0.1", "127.0.0.1", "::ffff:10.21.0.0", "::10.20.0.1", "64:ff9b::a14:1", "2002:a14:1::"},
		},
		{
			allow:  "10.20.30.40/16", // not masked
			opened: []string{"10.20.0.1", "10.20.255.255"},
			left:   []string{"10.21.0.0", "10.19.255.255"},
		},
		{
			allow:  "127.0.0.2/32",
			opened: []string{"127.0.0.2", "::ffff:127.0.0.2"},
			left:   []string{"127.0.0.1", "127.0.0.3", "::1", "::ffff:127.0.0.1"},
		},
		{
			allow:  "::ffff:10.20.0.0/112",
			opened: []string{"10.20.0.1", "10.20.255.255", "::ffff:10.20.0.1"},
			left:   []string{"10.21.0.0", "10.19.255.255", "::1", "fd00::1", "::ffff:10.21.0.0"},
		},
		{
			allow:  "::ffff:10.20.30.40/128",
			opened: []string{"10.20.30.40"},
			left:   []string{"10.20.30.41", "10.20.30.39"},
		},
		{
			allow:  "::ffff:0:0/96",
			opened: []string{"10.0.0.1", "127.0.0.1"},
			left:   []string{"::1", "fd00::1"},
		},
		{
			allow:  "fd00:1234::/32",
			opened: []string{"fd00:1234::1", "fd00:1234:ffff:ffff:ffff:ffff:ffff:ffff"},
			left:   []string{"fd00:1233:ffff::", "fd00:1235::", "fd00:1234::1%lo", "::1", "fe80::1", "10.0.0.1"},
		},
		{
			allow:  "fd00:1234::5/128",
			opened: []string{"fd00:1234::5"},
			left:   []string{"fd00:1234::4", "fd00:1234::6"},
		},
		{
			allow:  "0.0.0.0/0",
			opened: []string{"10.0.0.1", "127.0.0.1", "::ffff:127.0.0.1"},
			left:   []string{"::1", "fd00::1", "64:ff9b::7f00:1"},
		},
		{
			allow:  "::/0",
			opened: []string{"::1", "fd00::1", "64:ff9b::7f00:1"},
			left:   []string{"10.0.0.1", "127.0.0.1", "::ffff:127.0.0.1"},
		},
		{
			allow:  "::ffff:0:0/95", // more than the mapped addresses, which are still not dialled like that
			opened: []string{"::fffe:0:1"},
			left:   []string{"10.0.0.1", "::ffff:10.0.0.1", "fd00::1"},
		},
		{
			allow:  "64:ff9b::/96",
			opened: []string{"64:ff9b::808:808"},
			left:   []string{"64:ff9b:1::1", "127.0.0.1"},
		},
	} {
		control := newDialer([]netip.Prefix{netip.MustParsePrefix(tc.allow)}).ControlContext
		for want, hosts := range map[error][]string{nil: tc.opened, ErrRefused: tc.left} {
			for _, host := range hosts {
				// the form that Go dials: TestDialledForm
				addr, network := netip.MustParseAddr(host).Unmap(), "tcp6"
				if addr.Is4() {
					network = "tcp4"
				}
				if err := control(t.Context(), network, netip.AddrPortFrom(addr, 443).String(), nil); !errors.Is(err, want) {
					t.Errorf("allow %s: %s: error %v, want %v", tc.allow, host, err, want)
				}
			}
		}
		if err := control(t.Context(), "tcp4", "1.1.1.1:443", nil); err != nil {
			t.Errorf("allow %s: a public address: %v", tc.allow, err)
		}
	}
}

func TestAllowTogether(t *testing.T) {
	allow := []netip.Prefix{
		{}, // invalid
		netip.PrefixFrom(netip.MustParseAddr("127.0.0.1"), 99), // invalid too
		netip.MustParsePrefix("fd00:1::/32"),
		netip.MustParsePrefix("10.1.0.0/16"),
		netip.MustParsePrefix("::ffff:10.2.0.0/112"),
		netip.MustParsePrefix("fd00:2::/32"),
	}
	control := newDialer(allow).ControlContext
	for address, want := range map[string]error{
		"10.1.2.3:1": nil, "10.2.2.3:1": nil, "10.3.2.3:1": ErrRefused, "127.0.0.1:1": ErrRefused, "0.0.0.0:1": ErrRefused,
		"[fd00:1::1]:1": nil, "[fd00:2::1]:1": nil, "[fd00:3::1]:1": ErrRefused, "[::1]:1": ErrRefused, "[::]:1": ErrRefused,
	} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		if err := control(t.Context(), network, address, nil); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", address, err, want)
		}
	}
}
