package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/f737063d/caddy-connector/internal/dnstest"
)

// certified is a name that the certificate of an httptest.Server is for.
const certified = "example.com"

// transport returns a Transport that asks resolver, which may be nil.
func transport(t *testing.T, resolver *net.Resolver, roots *x509.CertPool, allow ...netip.Prefix) *Transport {
	dialer := newDialer(allow)
	dialer.Resolver = resolver
	tr := newTransport(dialer, roots)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// everywhere returns a resolver that has the same addresses for every name.
func everywhere(t *testing.T, addrs ...string) *net.Resolver {
	return dnstest.Serve(t, func(string, int) []netip.Addr { return parse(addrs...) })
}

func parse(addrs ...string) []netip.Addr {
	parsed := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		parsed[i] = netip.MustParseAddr(addr)
	}
	return parsed
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

func request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// get sends a request and reads the answer whole.
func get(t *testing.T, rt http.RoundTripper, url string) (*http.Response, string, error) {
	t.Helper()
	res, err := rt.RoundTrip(request(t, http.MethodGet, url))
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := ReadAll(res, 1<<20)
	return res, string(body), err
}

// serve starts a server at addr that answers with the request's host.
func serve(t *testing.T, addr string, secure bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Host))
	}))
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("this machine has no %s: %v", addr, err)
	}
	_ = srv.Listener.Close()
	srv.Listener = listener
	srv.Config.ErrorLog = quiet
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func roots(srv *httptest.Server) *x509.CertPool {
	if srv.TLS == nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return pool
}

// quiet is for servers whose clients go away.
var quiet = log.New(io.Discard, "", 0)

func port(addr net.Addr) string {
	_, port, _ := net.SplitHostPort(addr.String())
	return port
}

func haveIPv6() bool {
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}

// trap is a port of the loopback addresses at which nobody may arrive.
type trap struct {
	port      string
	listeners []net.Listener
	arrived   chan string
}

// newTrap listens at a port of 127.0.0.1 and, where there is IPv6, of ::1.
func newTrap(t *testing.T) *trap {
	t.Helper()
	var err error
	for range 10 {
		tr := &trap{arrived: make(chan string, 1024)}
		if err = tr.listen("127.0.0.1:0"); err != nil {
			break
		}
		tr.port = port(tr.listeners[0].Addr())
		if haveIPv6() {
			err = tr.listen("[::1]:" + tr.port)
		}
		t.Cleanup(tr.close)
		if err == nil {
			return tr
		}
	}
	t.Fatal(err)
	return nil
}

func (tr *trap) listen(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	tr.listeners = append(tr.listeners, listener)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tr.arrived <- conn.RemoteAddr().String()
			_ = conn.Close()
		}
	}()
	return nil
}

func (tr *trap) close() {
	for _, listener := range tr.listeners {
		_ = listener.Close()
	}
}

// check connects to the trap itself: who arrived before that is caught.
func (tr *trap) check(t *testing.T) {
	t.Helper()
	for _, listener := range tr.listeners {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for from := ""; from != conn.LocalAddr().String(); {
			if from = <-tr.arrived; from != conn.LocalAddr().String() {
				t.Errorf("a connection from %s arrived at %s", from, listener.Addr())
			}
		}
		_ = conn.Close()
	}
}

var errNotDialled = errors.New("let pass, but this is a test")

// recorder notes what a dialer's guard says, and connects to nothing.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) attach(dialer *net.Dialer) {
	guard := dialer.ControlContext
	dialer.ControlContext = func(ctx context.Context, network, address string, conn syscall.RawConn) error {
		verdict, err := "pass", errNotDialled
		if refusal := guard(ctx, network, address, conn); refusal != nil {
			verdict, err = "refused", refusal
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, strings.Join([]string{verdict, network, address}, " "))
		return err
	}
}
