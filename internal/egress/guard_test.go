package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/internal/dnstest"
)

// Hosts that are addresses to Go.
var (
	refusedIPv4 = []string{
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.0.0.2", "127.255.255.255",
		"10.0.0.0", "10.0.0.1", "10.255.255.255",
		"172.16.0.0", "172.16.0.1", "172.31.255.255",
		"192.168.0.0", "192.168.1.1", "192.168.255.255",
		"100.64.0.0", "100.100.100.200", "100.127.255.255",
		"169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255",
		"192.0.0.0", "192.0.0.192", "192.0.0.255",
		"168.63.129.16", // Azure's
		"192.0.2.1", "198.51.100.1", "203.0.113.1",
		"192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1",
		"198.18.0.0", "198.18.0.1", "198.19.255.255",
		"224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.254", "255.255.255.255",
	}
	// IDNA maps these to IPv4
	refusedUnicode = []string{"１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "169｡254｡169｡254"}
	// to Go and on the wire these are IPv4
	refusedMapped = []string{
		"[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]",
		"[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]",
	}
	refusedIPv6 = []string{
		"[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::1%25lo]", "[::]", "[::2]",
		"[::127.0.0.1]", "[::7f00:1]", "[::169.254.169.254]", "[::ffff:0:127.0.0.1]",
		"[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::808:808]", "[64:ff9b:1::1]",
		"[2002:7f00:1::]", "[2002:7f00:1::1]", "[2002:a9fe:a9fe::1]", "[2002:c0a8:101::1]",
		"[2001::1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[2001:0:7f00:1::]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]",
		"[2001:db8::1]", "[2001:db8::1%25lo]", "[3fff::1]", "[2620:4f:8000::1]",
		"[fe80::1]", "[fe80::1%25lo]", "[fe80::1%251]", "[fe80::a9fe:a9fe]", "[febf::1]", "[fec0::1]", "[feff::1]",
		"[fc00::1]", "[fd00:ec2::254]", "[fd12:3456:789a::1]", "[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]",
		"[ff01::1]", "[ff02::1]", "[ff05::2]", "[ff0e::1]",
		"[100::1]", "[100:0:0:1::1]", "[5f00::1]", "[4000::1]", "[1fff::1]", "[8000::1]",
		"[2606:4700::1111%25lo]", // of a zone, what else it is doesn't matter
	}
)

// Hosts that are names to Go, and something else to other resolvers.
var (
	// Go's resolver has no server asked for a name without a letter
	refusedNumbers = []string{
		"0", "00.0.0.0", "127.1", "127.0.1", "2130706433", "0177.0.0.1", "0177.1", "017700000001",
		"127.0.0.01", "127.000.000.001", "10.1", "3232235521", "2852039166", "0251.0376.0251.0376",
	}
	refusedHex   = []string{"0x0", "0x7f000001", "0X7F000001", "0x7f.0.0.1", "0x7f.1", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe"}
	refusedNames = []string{
		"localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "sub.localhost", "ip6-localhost",
		"127.0.0.1.nip.test", "metadata.google.internal", "ｌｏｃａｌｈｏｓｔ", "x_y.test",
	}
)

func TestRefused(t *testing.T) {
	trap := newTrap(t)
	for _, tc := range []struct {
		resolver string
		answer   []netip.Addr
	}{
		{"strict", nil},
		{"lenient", parse("127.0.0.1", "::1")},
		{"lenient, IPv4", parse("127.0.0.1")},
		{"lenient, mapped", parse("::ffff:127.0.0.1")},
	} {
		t.Run(tc.resolver, func(t *testing.T) {
			tr := transport(t, dnstest.Serve(t, func(string, int) []netip.Addr { return tc.answer }), nil)
			strict := tc.answer == nil
			each(t, slices.Concat(refusedIPv4, refusedUnicode, refusedMapped), tr, trap, false)
			each(t, refusedNumbers, tr, trap, true)
			each(t, slices.Concat(refusedHex, refusedNames), tr, trap, strict)
			if haveIPv6() {
				each(t, refusedIPv6, tr, trap, false)
			} else {
				t.Log("left out: IPv6 addresses, because this machine has no IPv6")
			}
		})
	}
	trap.check(t)
}

// each asserts that no request to a host gets through, of either scheme. That
// the host is none that the resolver knows may be the reason if unknown is set.
func each(t *testing.T, hosts []string, tr *Transport, trap *trap, unknown bool) {
	t.Helper()
	for _, host := range hosts {
		for _, scheme := range []string{"http", "https"} {
			url := scheme + "://" + host + ":" + trap.port + "/"
			_, _, err := get(t, tr, url)
			var dnsErr *net.DNSError
			if !errors.Is(err, ErrRefused) && (!unknown || !errors.As(err, &dnsErr) || !dnsErr.IsNotFound) {
				t.Errorf("%s: error %v", url, err)
			}
		}
	}
}

// A name stands for each of the addresses in turn.
func TestRefusedByName(t *testing.T) {
	trap := newTrap(t)
	hosts := slices.Concat(refusedIPv4, refusedMapped)
	if haveIPv6() {
		hosts = slices.Concat(hosts, refusedIPv6)
	} else {
		t.Log("left out: IPv6 addresses, because this machine has no IPv6")
	}
	for _, host := range hosts {
		if addr := strings.Trim(host, "[]"); !strings.Contains(addr, "%") {
			each(t, []string{"name.test"}, transport(t, everywhere(t, addr), nil), trap, false)
		}
	}
	trap.check(t)
}

// The C library's resolver reads the numbers as addresses. A process decides
// once which resolver it has, so the test runs itself again.
func TestRefusedBySystemResolver(t *testing.T) {
	const inner = "EGRESS_TEST_SYSTEM_RESOLVER"
	if os.Getenv(inner) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inner+"=1", "GODEBUG=netdns=cgo")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Skipf("%s", out)
		}
		return
	}
	if _, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", "127.1"); err != nil {
		t.Skipf("left out: this machine's resolver is strict: %v", err)
	}
	trap := newTrap(t)
	each(t, slices.Concat(refusedNumbers, refusedHex), transport(t, nil, nil), trap, false)
	trap.check(t)
}

func TestGuardRefusesWhatItCannotRead(t *testing.T) {
	control := newDialer(nil).ControlContext
	for _, tc := range []struct{ network, address string }{
		{"udp4", "1.1.1.1:443"},
		{"udp6", "[2606:4700:4700::1111]:443"},
		{"tcp", "1.1.1.1:443"},
		{"ip4:1", "1.1.1.1"},
		{"unix", "/run/x.sock"},
		{"unix", "1.1.1.1:443"},
		{"", "1.1.1.1:443"},
		{"tcp4", "1.1.1.1"},
		{"tcp4", ":443"},
		{"tcp4", ""},
		{"tcp4", "localhost:443"},
		{"tcp4", "127.1:443"},
		{"tcp6", "::1"},
		{"tcp6", "[::ffff:1.1.1.1]:443"}, // Go doesn't dial it like that
	} {
		if err := control(t.Context(), tc.network, tc.address, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("%s %q: error %v", tc.network, tc.address, err)
		}
	}
}

func TestGuardPassesPublicAddresses(t *testing.T) {
	control := newDialer(nil).ControlContext
	for _, host := range []string{
		"1.0.0.0", "1.1.1.1", "8.8.8.8", "93.184.215.14",
		"9.255.255.255", "11.0.0.0", // around what is refused
		"100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.255.0.0",
		"172.15.255.255", "172.32.0.0",
		"191.255.255.255", "192.0.1.0",
		"192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0",
		"223.255.255.255",
		"2001:200::1", "2001:4860:4860::8888", "2003::1", "2400:cb00::1", "2606:4700:4700::1111", "2a00:1450::1",
		"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2620:fe::fe",
	} {
		network := "tcp4"
		if strings.Contains(host, ":") {
			network = "tcp6"
		}
		for _, port := range []string{"1", "22", "80", "443", "8443", "65535"} {
			if err := control(t.Context(), network, net.JoinHostPort(host, port), nil); err != nil {
				t.Errorf("%s port %s: %v", host, port, err)
			}
		}
	}
}

// A mapped address is dialled, and so guarded, as IPv4.
func TestDialledForm(t *testing.T) {
	var rec recorder
	dialer := newDialer([]netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")})
	rec.attach(dialer)
	tr := newTransport(dialer, nil)
	for _, host := range []string{"10.20.0.1", "[::ffff:10.20.0.1]", "[::ffff:a14:1]", "[::ffff:10.21.0.1]", "[::ffff:127.0.0.1]"} {
		if _, _, err := get(t, tr, "http://"+host+"/"); err == nil {
			t.Errorf("%s: no error", host)
		}
	}
	want := []string{
		"pass tcp4 10.20.0.1:80", "pass tcp4 10.20.0.1:80", "pass tcp4 10.20.0.1:80",
		"refused tcp4 10.21.0.1:80", "refused tcp4 127.0.0.1:80",
	}
	if !slices.Equal(rec.seen, want) {
		t.Errorf("got %q, want %q", rec.seen, want)
	}
}

func TestRebinding(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS=%v", secure), func(t *testing.T) {
			trap := newTrap(t)
			srv := serve(t, "127.0.0.2:"+trap.port, secure) // in the place of a public address
			resolver := dnstest.Serve(t, func(name string, query int) []netip.Addr {
				switch {
				case name != certified:
					return nil
				case query == 1:
					return parse("127.0.0.2")
				}
				return parse("127.0.0.1", "::1")
			})
			tr := transport(t, resolver, roots(srv), netip.MustParsePrefix("127.0.0.2/32"))
			url := strings.Replace(srv.URL, "127.0.0.2", certified, 1)

			if _, body, err := get(t, tr, url); err != nil || body != certified+":"+trap.port {
				t.Fatalf("%q, %v", body, err)
			}
			tr.CloseIdleConnections()
			for range 3 {
				if _, _, err := get(t, tr, url); !errors.Is(err, ErrRefused) {
					t.Errorf("error %v", err)
				}
			}
			trap.check(t)
		})
	}
}

func TestRebindingFromPublic(t *testing.T) {
	var rec recorder
	dialer := newDialer(nil)
	dialer.Resolver = dnstest.Serve(t, func(_ string, query int) []netip.Addr {
		if query == 1 {
			return parse("93.184.215.14")
		}
		return parse("169.254.169.254")
	})
	rec.attach(dialer)
	tr := newTransport(dialer, nil)
	if _, _, err := get(t, tr, "https://rebind.test/"); !errors.Is(err, errNotDialled) || errors.Is(err, ErrRefused) {
		t.Errorf("public: error %v", err)
	}
	if _, _, err := get(t, tr, "https://rebind.test/"); !errors.Is(err, ErrRefused) {
		t.Errorf("private: error %v", err)
	}
	if want := []string{"pass tcp4 93.184.215.14:443", "refused tcp4 169.254.169.254:443"}; !slices.Equal(rec.seen, want) {
		t.Errorf("got %q, want %q", rec.seen, want)
	}
}

// Of a name's addresses, only those that the guard lets pass are connected to.
func TestSeveralAddresses(t *testing.T) {
	trap := newTrap(t)
	serve(t, "127.0.0.2:"+trap.port, false)
	for _, addrs := range [][]string{
		{"127.0.0.1", "127.0.0.2"},
		{"127.0.0.2", "127.0.0.1"},
		{"::1", "127.0.0.2", "127.0.0.1"},
		{"127.0.0.1", "127.0.0.1", "::1", "127.0.0.2"},
		{"::ffff:127.0.0.1", "127.0.0.2", "169.254.169.254"},
	} {
		tr := transport(t, everywhere(t, addrs...), nil, netip.MustParsePrefix("127.0.0.2/32"))
		for range 3 {
			if _, body, err := get(t, tr, "http://many.test:"+trap.port+"/"); err != nil || body != "many.test:"+trap.port {
				t.Errorf("%v: %q, %v", addrs, body, err)
			}
			tr.CloseIdleConnections()
		}
	}
	for _, addrs := range [][]string{{"127.0.0.1", "::1"}, {"10.0.0.1", "127.0.0.1", "fd00::1"}} {
		tr := transport(t, everywhere(t, addrs...), nil, netip.MustParsePrefix("127.0.0.2/32"))
		if _, _, err := get(t, tr, "http://many.test:"+trap.port+"/"); !errors.Is(err, ErrRefused) {
			t.Errorf("%v: error %v", addrs, err)
		}
	}
	trap.check(t)
}

func TestRefusalNamesTheAddress(t *testing.T) {
	_, _, err := get(t, transport(t, everywhere(t, "10.1.2.3"), nil), "https://internal.test/")
	var opErr *net.OpError
	if !errors.Is(err, ErrRefused) || !errors.As(err, &opErr) || !strings.Contains(err.Error(), "10.1.2.3") {
		t.Errorf("error %v", err)
	}
}
