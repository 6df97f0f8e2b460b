package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddyserver/caddy/v2"
)

// identity is a certificate for 127.0.0.1, with what trusts it.
type identity struct {
	certificate tls.Certificate
	pool        *x509.CertPool
	certFile    string
	keyFile     string
}

// newIdentity borrows the certificate of httptest.
func newIdentity(t *testing.T) *identity {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	id := &identity{certificate: lender.TLS.Certificates[0], pool: x509.NewCertPool()}
	id.pool.AddCert(lender.Certificate())
	key, err := x509.MarshalPKCS8PrivateKey(id.certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, kind string, der []byte) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	id.certFile = file("cert.pem", "CERTIFICATE", id.certificate.Certificate[0])
	id.keyFile = file("key.pem", "PRIVATE KEY", key)
	return id
}

// trust is what a transport needs to trust the upstreams of this identity.
func (id *identity) trust(more string) string {
	return "transport http {\ntls_trust_pool file " + id.certFile + "\n" + more + "\n}"
}

// secure makes a site speak HTTPS at an address.
func (id *identity) secure(addr, site string) string {
	_, port, _ := strings.Cut(addr, ":")
	return strings.Replace(site, "EDGE {", "https://:"+port+" {\n\ttls "+id.certFile+" "+id.keyFile, 1)
}

// startTLS is start with a site that speaks HTTPS.
func startTLS(t *testing.T, id *identity, options, site string) *server {
	t.Helper()
	addr := freeAddr(t)
	s := start(t, options, id.secure(addr, site))
	s.addr = addr
	return s
}

// startHTTP3 is startTLS, to be asked over HTTP/3.
func startHTTP3(t *testing.T, id *identity, options, site string) *server {
	t.Helper()
	s := startTLS(t, id, options, site)
	// The listener may accept before Caddy's TLS app is quite started, which is
	// Caddy's business, but which the race detector sees. When the next config
	// has taken the listener over, all is in order.
	s.load(options, id.secure(s.addr, site))
	eventually(t, "the end of the first config's listener", func() bool {
		return caddy.ListenerUsage("quicudp", s.addr) == 1
	})
	return s
}

// Every version of HTTP at the client's side.
var clients = []struct {
	proto   string
	scheme  string
	options string
	via     string
	start   func(t *testing.T, id *identity, options, site string) *server
	new     func(t *testing.T, id *identity) http.RoundTripper
}{
	{"HTTP/1.1", "http", "", "1.1 Caddy", startPlain, func(t *testing.T, _ *identity) http.RoundTripper {
		return closing(t, &http.Transport{DisableCompression: true})
	}},
	{"HTTP/2.0", "https", "", "2.0 Caddy", startTLS, func(t *testing.T, id *identity) http.RoundTripper {
		return closing(t, &http.Transport{DisableCompression: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: id.pool}})
	}},
	{"HTTP/2.0", "http", "servers {\nprotocols h1 h2c\n}", "2.0 Caddy", startPlain, func(t *testing.T, _ *identity) http.RoundTripper {
		return closing(t, &http.Transport{DisableCompression: true, Protocols: onlyH2C()})
	}},
	{"HTTP/3.0", "https", "", "3.0 Caddy", startHTTP3, func(t *testing.T, id *identity) http.RoundTripper {
		transport := &http3.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: id.pool}}
		t.Cleanup(func() { transport.Close() })
		return transport
	}},
}

func startPlain(t *testing.T, _ *identity, options, site string) *server {
	t.Helper()
	return start(t, options, site)
}

func onlyH2C() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

func closing(t *testing.T, transport *http.Transport) http.RoundTripper {
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// And at the upstream's.
var upstreams = []struct {
	proto string
	new   func(t *testing.T, id *identity, handler http.HandlerFunc) (url, transport string)
}{
	{"HTTP/1.1", func(t *testing.T, _ *identity, handler http.HandlerFunc) (string, string) {
		return newHandlerUpstream(t, handler).URL, "transport http {\ncompression off\n}"
	}},
	{"HTTP/2.0", func(t *testing.T, _ *identity, handler http.HandlerFunc) (string, string) {
		u := httptest.NewUnstartedServer(handler)
		u.Config.Protocols = onlyH2C()
		u.Start()
		t.Cleanup(u.Close)
		return u.URL, "transport http {\ncompression off\nversions h2c 2\n}"
	}},
	{"HTTP/2.0", func(t *testing.T, id *identity, handler http.HandlerFunc) (string, string) {
		u := httptest.NewUnstartedServer(handler)
		u.EnableHTTP2 = true
		u.StartTLS()
		t.Cleanup(u.Close)
		return u.URL, id.trust("compression off")
	}},
	{"HTTP/3.0", func(t *testing.T, id *identity, handler http.HandlerFunc) (string, string) {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u := &http3.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{id.certificate}}}
		go func() { _ = u.Serve(packets) }()
		t.Cleanup(func() {
			u.Close()
			packets.Close()
		})
		return "https://" + packets.LocalAddr().String(), id.trust("compression off\nversions 3")
	}},
}

// acrossVersions runs a test for each version of HTTP on each side.
func acrossVersions(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, client int, upstream int, do func(*http.Request) (*http.Response, error), s *server)) {
	id := newIdentity(t)
	for i, c := range clients {
		for j, u := range upstreams {
			t.Run(fmt.Sprintf("%s %s to %s %d", c.scheme, c.proto, u.proto, j), func(t *testing.T) {
				url, transport := u.new(t, id, handler)
				s := c.start(t, id, c.options, paritySite(t, url, transport))
				test(t, i, j, c.new(t, id).RoundTrip, s)
			})
		}
	}
}

// What a request is at the upstream, and what its answer is at the client, is
// the same in every version.
func TestParityVersions(t *testing.T) {
	acrossVersions(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Announced")
		w.Header().Set("Content-Type", "a/b")
		fmt.Fprintf(w, "%s %s %s length %d body %q %v trailer %q", r.Method, r.RequestURI, r.Proto, r.ContentLength, body, err, r.Trailer)
		_ = http.NewResponseController(w).Flush() // with a length, HTTP/1.1 would have no trailers
		for _, name := range []string{"Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Te", "User-Agent", "Connection"} {
			fmt.Fprintf(w, " %s %q", name, r.Header[name])
		}
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
	}, func(t *testing.T, client, upstream int, do func(*http.Request) (*http.Response, error), s *server) {
		scheme := clients[client].scheme
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			if method == "HEAD" && clients[client].proto == "HTTP/3.0" {
				continue // a race between the end and a flush decides if there is a Content-Length: 0
			}
			var results []string
			for _, route := range routes {
				r, cancel := s.request(method, route.prefix+"/x%2Fy?a=b;c", nil)
				r.URL.Scheme = scheme
				r.Header.Set("Te", "trailers")
				if hasBody(method) {
					r.Body = io.NopCloser(strings.NewReader("hello"))
					r.ContentLength = -1
					r.Trailer = http.Header{"X-Sum": {"1"}}
				}
				if method == "PUT" && clients[client].proto != "HTTP/1.1" { // which knows a length or trailers
					r.ContentLength = 5
				}
				results = append(results, describe(t, r, do))
				cancel()
			}
			if results[0] != results[1] {
				t.Errorf("%s: through reverse_proxy\n%s\nthrough connector\n%s", method, results[0], results[1])
			}
			want := []string{"Link: </a>\n", "X-Site: yes\n"}
			if method != "HEAD" { // which has no body to tell
				want = append(want, method+" /x%2Fy?a=b;c "+upstreams[upstream].proto, `Via ["`+clients[client].via+`"]`, `X-Forwarded-Proto ["`+scheme+`"]`,
					`X-Forwarded-Host ["`+s.addr+`"]`, `Te ["trailers"]`, "trailer X-Announced: 1\n", "trailer X-Unannounced: 2\n")
			}
			if hasBody(method) {
				want = append(want, `body "hello" <nil> trailer map["X-Sum":[`)
				if clients[client].proto != "HTTP/3.0" { // there Caddy's copy of the request never gets them
					want = append(want, `"X-Sum":["1"]`)
				}
			}
			wantIn(t, results[1], want, nil)
		}
	})
}

func hasBody(method string) bool { return method == "POST" || method == "PUT" }

// describe sends a request and writes down everything that comes back.
func describe(t *testing.T, r *http.Request, do func(*http.Request) (*http.Response, error)) string {
	t.Helper()
	var text strings.Builder
	var mu sync.Mutex
	write := func(kind string, header http.Header) {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(header)) {
			// HTTP/3 is advertised to those who don't speak it
			if name == "Date" || name == "Alt-Svc" {
				continue
			}
			for _, value := range header[name] {
				fmt.Fprintf(&text, "%s %s: %s\n", kind, name, value)
			}
		}
	}
	res, err := do(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			write(fmt.Sprint(status), http.Header(header))
			return nil
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	write(res.Status, res.Header)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("body %q, %v", body, err)
	}
	fmt.Fprintf(&text, "length %d, body %s\n", res.ContentLength, body)
	write("trailer", res.Trailer)
	return text.String()
}

// An upstream is asked for what the client asked for, and by default for no
// compression that the client did not ask for.
func TestParityVersionsAcceptEncoding(t *testing.T) {
	acrossVersions(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "accepts %q", r.Header["Accept-Encoding"])
	}, func(t *testing.T, client, _ int, do func(*http.Request) (*http.Response, error), s *server) {
		for sent, want := range map[string][]string{"": {`accepts []`, `accepts ["identity"]`}, "br": {`accepts ["br"]`}} {
			r, cancel := s.request("GET", "/connector/sales/x", nil)
			r.URL.Scheme = clients[client].scheme
			if sent != "" {
				r.Header.Set("Accept-Encoding", sent)
			}
			res, err := do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !slices.Contains(want, string(body)) {
				t.Errorf("the upstream %s, %v; want %q", body, err, want)
			}
			cancel()
		}
	})
}

// Pieces pass as they come, and an end that is not clean is not clean for the
// other side, in every version.
func TestParityVersionsStream(t *testing.T) {
	abort, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	acrossVersions(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, event)
		_ = http.NewResponseController(w).Flush()
		switch r.URL.Path {
		case "/broken":
			select {
			case <-abort:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		case "/cancelled":
			<-r.Context().Done()
			gone <- struct{}{}
		case "/whole":
			_, _ = io.WriteString(w, event)
		}
	}, func(t *testing.T, client, upstream int, do func(*http.Request) (*http.Response, error), s *server) {
		eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
			if clients[client].proto == "HTTP/3.0" && upstreams[upstream].proto == "HTTP/2.0" {
				skipRacy(t, prefix) // in HTTP/3, any request may have a body
			}
			get := func(path string) (io.Reader, context.CancelFunc) {
				r, cancel := s.request("GET", prefix+path, nil)
				r.URL.Scheme = clients[client].scheme
				res, err := do(r)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { res.Body.Close() })
				arrives(t, res.Body, event)
				return res.Body, cancel
			}
			body, _ := get("/whole")
			if rest, err := io.ReadAll(body); err != nil || string(rest) != event {
				t.Errorf("the rest of the whole answer is %q, %v", rest, err)
			}
			body, _ = get("/broken")
			abort <- struct{}{}
			if rest, err := io.ReadAll(body); err == nil || len(rest) > 0 {
				t.Errorf("the rest of the broken answer is %q, %v; want an error", rest, err)
			}
			_, cancel := get("/cancelled")
			cancel()
			await(t, "the end of the upstream's request", gone)
		})
	})
}
