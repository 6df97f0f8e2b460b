package integration

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/f737063d/caddy-connector/internal/dnstest"
)

// counted is a listener that counts connections, whatever comes of them.
type counted struct {
	net.Listener
	accepted atomic.Int64
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.accepted.Add(1)
	}
	return conn, err
}

// listenAt listens at an address that not every machine has.
func listenAt(t *testing.T, address string) *counted {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("left out: this machine cannot listen at %s: %v", address, err)
	}
	t.Cleanup(func() { listener.Close() })
	return &counted{Listener: listener}
}

// serveAt is newService on a given listener; its URL has the host.
func serveAt(t *testing.T, a *authority, listener net.Listener, host string) *upstream {
	t.Helper()
	config := a.serverConfig(t, "127.0.0.1", "127.0.0.2", "::1", "localhost", host)
	u := serveUpstream(t, tls.NewListener(listener, config), jsonAnswer(`"reached"`))
	u.url = "https://" + host + ":" + portOf(listener.Addr().String())
	return u
}

// egress is the global option with these lines.
func egress(lines ...string) string {
	return "connector {\n\t\tegress {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}\n\t}"
}

// like is one request through any_channel.
func (s *server) like() answer {
	s.t.Helper()
	return s.do("POST", proxyTo("62", "/like"), "{}", asJSON)
}

// isReached checks that the service gave this answer.
func (a answer) isReached(t *testing.T) {
	t.Helper()
	if a.StatusCode != 200 || a.body != `"reached"` {
		t.Errorf("answer %d %v %q", a.StatusCode, a.Header, a.body)
	}
}

// isUnreachable checks that the edge did not reach the service, for this reason,
// and does not tell where it is.
func (a answer) isUnreachable(t *testing.T, proxyError string) {
	t.Helper()
	a.isEnvelope(t, 502, "BadGateway")
	if got := a.Header.Get("Proxy-Status"); got != "caddy-connector; error="+proxyError {
		t.Errorf("Proxy-Status %q, want the error %s", got, proxyError)
	}
	if strings.Contains(a.body, "127.0") || strings.Contains(a.body, "::1") {
		t.Errorf("the answer has the address: %q", a.body)
	}
}

const prohibited = "destination_ip_prohibited"

func TestEgress(t *testing.T) {
	ca := newAuthority(t)
	for _, tc := range []struct {
		allow   string // the option is left out if it is empty
		listen  string
		host    string
		reached bool
	}{
		{"", "127.0.0.1", "127.0.0.1", false},
		{"", "127.0.0.1", "localhost", false},
		{"", "127.0.0.2", "127.0.0.2", false},
		{"", "::1", "[::1]", false},
		{"", "127.0.0.1", "[::ffff:127.0.0.1]", false},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.1", "localhost", true},
		{"127.0.0.1", "127.0.0.1", "[::ffff:127.0.0.1]", true},
		{"127.0.0.1", "127.0.0.2", "127.0.0.2", false},
		{"127.0.0.1", "::1", "[::1]", false},
		{"127.0.0.2/32", "127.0.0.2", "127.0.0.2", true},
		{"127.0.0.2/32", "127.0.0.1", "127.0.0.1", false},
		{"127.0.0.2/32", "127.0.0.1", "localhost", false},
		{"10.0.0.0/8 127.0.0.2", "127.0.0.2", "127.0.0.2", true},
		{"0.0.0.0/0", "127.0.0.1", "127.0.0.1", true},
		{"0.0.0.0/0", "::1", "[::1]", false},
		{"::1", "::1", "[::1]", true},
		{"::1", "127.0.0.1", "127.0.0.1", false},
		{"fd00::/8", "::1", "[::1]", false},
		{"::/0", "::1", "[::1]", true},
		{"::/0", "127.0.0.1", "127.0.0.1", false},
		{"::ffff:127.0.0.0/104", "127.0.0.1", "127.0.0.1", true},
		{"::ffff:127.0.0.0/104", "::1", "[::1]", false},
	} {
		t.Run(tc.allow+" to "+tc.host+" at "+tc.listen, func(t *testing.T) {
			listener := listenAt(t, net.JoinHostPort(tc.listen, "0"))
			service := serveAt(t, ca, listener, tc.host)
			options := ""
			if tc.allow != "" {
				options = egress("allow "+tc.allow, "trust_pool file "+ca.file)
			}
			s := start(t, options, channelWith(t, service, ""))
			got := s.like()
			if tc.reached {
				got.isReached(t)
				return
			}
			got.isUnreachable(t, prohibited)
			if n := listener.accepted.Load(); n != 0 {
				t.Errorf("%d connections", n)
			}
			if !strings.Contains(s.logs(), "destination refused") {
				t.Errorf("the log does not say why: %s", s.logs())
			}
		})
	}
}

// resolveBy has everything in this process ask a DNS server of this test's.
func resolveBy(t *testing.T, answers func(name string, query int) []netip.Addr) {
	t.Helper()
	before := net.DefaultResolver
	net.DefaultResolver = dnstest.Serve(t, answers)
	t.Cleanup(func() { net.DefaultResolver = before })
}

// A name that leads to another address than when it was looked at leads nowhere,
// even where both have a service.
func TestEgressRebinding(t *testing.T) {
	allowed, private := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	for name, tc := range map[string]struct {
		answers func(query int) []netip.Addr
		reached []bool // by request
	}{
		"the first answer only": {func(query int) []netip.Addr {
			if query == 1 {
				return []netip.Addr{allowed}
			}
			return []netip.Addr{private}
		}, []bool{true, false, false}},
		"every other answer": {func(query int) []netip.Addr {
			return []netip.Addr{[]netip.Addr{private, allowed}[query%2]}
		}, []bool{true, false, true, false}},
		"both at once":       {func(int) []netip.Addr { return []netip.Addr{private, allowed} }, []bool{true, true}},
		"the private always": {func(int) []netip.Addr { return []netip.Addr{private} }, []bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			listener := listenAt(t, "127.0.0.2:0")
			port := portOf(listener.Addr().String())
			trap := listenAt(t, "127.0.0.1:"+port)
			serveAt(t, ca, trap, "rebind.example")
			service := serveAt(t, ca, listener, "rebind.example")
			resolveBy(t, func(name string, query int) []netip.Addr {
				if name != "rebind.example" {
					return nil
				}
				return tc.answers(query)
			})
			s := start(t, egress("allow 127.0.0.2/32", "trust_pool file "+ca.file), channelWith(t, service, ""))
			for _, reached := range tc.reached {
				got := s.like()
				if reached {
					got.isReached(t)
				} else {
					got.isUnreachable(t, prohibited)
				}
			}
			if n := trap.accepted.Load(); n != 0 {
				t.Errorf("%d connections to the private address", n)
			}
		})
	}
}

// inFreshProcess runs the test in a process of its own, for what Go looks at once
// in a process only. It returns whether this is that process.
func inFreshProcess(t *testing.T) bool {
	t.Helper()
	const mark = "CONNECTOR_TEST_FRESH_PROCESS"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// A proxy of the environment would dial in the guard's place.
func TestEgressUsesNoProxyOfTheEnvironment(t *testing.T) {
	if !inFreshProcess(t) {
		return
	}
	ca := newAuthority(t)
	proxy := newUpstream(t, nil)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy.url)
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	resolveBy(t, func(string, int) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	service := serveAt(t, ca, listenAt(t, "127.0.0.1:0"), "service.example")
	request := httptest.NewRequest("POST", service.url, nil)
	if found, err := http.ProxyFromEnvironment(request); err != nil || found == nil {
		t.Fatalf("no proxy in the environment: %v, %v", found, err)
	}
	s := start(t, ca.openEgress(), channelWith(t, service, ""))
	s.like().isReached(t)
	if requests := proxy.seen(); len(requests) > 0 {
		t.Errorf("the proxy got %q", requests)
	}
}

func TestEgressTrustPool(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	service := newService(t, ca, jsonAnswer(`"reached"`))
	inline := func(a *authority) string {
		return "trust_pool inline {\n\t\t\ttrust_der " + base64.StdEncoding.EncodeToString(a.cert.Raw) + "\n\t\t\t}"
	}
	s := start(t, "", "EDGE {\n}")
	for trust, reached := range map[string]bool{
		"":                           false,
		"trust_pool file " + ca.file: true,
		"trust_pool file " + other.file + " " + ca.file: true,
		"trust_pool file " + other.file:                 false,
		inline(ca):                                      true,
		inline(other):                                   false,
	} {
		s.reload(egress("allow 127.0.0.0/8", trust), channelWith(t, service, ""))
		if reached {
			s.like().isReached(t)
		} else {
			s.like().isUnreachable(t, "tls_certificate_error")
		}
	}
	for trust, want := range map[string]string{
		"trust_pool system":                                  "egress: trust_pool: this module does not list its certificates, so they cannot be added to the system's",
		"trust_pool file /no/such/file.pem":                  "egress: loading trust_pool:",
		"trust_pool inline {\n\t\t\ttrust_der AAAA\n\t\t\t}": "egress: loading trust_pool:",
	} {
		if err := s.tryLoad(egress("allow 127.0.0.0/8", trust), channelWith(t, service, "")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with: %s", trust, err, want)
		}
	}
}

// The system's authorities stay trusted beside the pool's.
func TestEgressTrustsTheSystemToo(t *testing.T) {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("left out: Go reads no file with this system's certificates")
	}
	if !inFreshProcess(t) {
		return
	}
	system, pool := newAuthority(t), newAuthority(t)
	t.Setenv("SSL_CERT_FILE", system.file)
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	s := start(t, "", "EDGE {\n}")
	for _, a := range []*authority{system, pool} {
		s.reload(pool.openEgress(), channelWith(t, newService(t, a, jsonAnswer(`"reached"`)), ""))
		s.like().isReached(t)
	}
	s.reload(egress("allow 127.0.0.0/8"), channelWith(t, newService(t, system, jsonAnswer(`"reached"`)), ""))
	s.like().isReached(t)
}

func TestEgressWarnsOfMetadataServices(t *testing.T) {
	s := start(t, "", "EDGE {\n}")
	warnings := 0
	for allow, warns := range map[string]bool{
		"169.254.169.254":           true,
		"169.254.169.254/32":        true,
		"169.254.0.0/16":            true,
		"10.0.0.0/8 0.0.0.0/0":      true,
		"::ffff:169.254.169.254":    true,
		"::ffff:169.254.0.0/112":    true,
		"169.254.169.253":           false,
		"169.253.0.0/16 10.0.0.0/8": false,
		"127.0.0.0/8":               false,
		"fd00::/8":                  true,
		"168.63.129.16":             true,
		"::/0":                      true,
		"2000::/3":                  false,
	} {
		s.load(egress("allow "+allow), "EDGE {\n}")
		if warns {
			warnings++
		}
		if got := strings.Count(s.logs(), "egress opens the address of cloud metadata services"); got != warnings {
			t.Errorf("allow %s: %d warnings, want %d", allow, got, warnings)
			warnings = got
		}
	}
}

// A range that is closed is closed at once, also where a connection to it is
// still open.
func TestEgressOfAnotherConfig(t *testing.T) {
	ca := newAuthority(t)
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			var connections, closed, requests atomic.Int64
			service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1); r.ProtoAtLeast(2, 0) != http2 {
					t.Errorf("a request of %s", r.Proto)
				}
				_, _ = io.WriteString(w, `"reached"`)
			}))
			service.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				switch state {
				case http.StateNew:
					connections.Add(1)
				case http.StateClosed:
					closed.Add(1)
				}
			}
			service.TLS, service.EnableHTTP2 = ca.serverConfig(t, "127.0.0.1"), http2
			service.StartTLS()
			t.Cleanup(service.Close)
			sites := channelWith(t, &upstream{url: service.URL}, "")
			s := start(t, ca.openEgress(), sites)
			s.like().isReached(t)
			s.like().isReached(t)
			if n := connections.Load(); n != 1 {
				t.Fatalf("%d connections: they are not kept", n)
			}
			s.reload(egress("allow 127.0.0.2/32", "trust_pool file "+ca.file), sites)
			s.like().isUnreachable(t, prohibited)
			if connections.Load() != 1 || requests.Load() != 2 {
				t.Errorf("%d connections, %d requests", connections.Load(), requests.Load())
			}
			eventually(t, "the end of the connection that was kept", func() bool { return closed.Load() == 1 })
			s.reload(ca.openEgress(), sites)
			s.like().isReached(t)
		})
	}
}
