package integration

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
)

// WebSockets to an upstream that would rather speak HTTP/2, in which they don't
// exist. With a placeholder in tls_server_name, it is Caddy's own code that has
// to choose HTTP/1.1.
func TestParityWebSocketToTLS(t *testing.T) {
	id := newIdentity(t)
	for what, more := range map[string]string{
		"plain":       "",
		"placeholder": "tls_server_name {http.request.header.X-Name}",
	} {
		t.Run(what, func(t *testing.T) {
			type peer struct {
				io.Reader
				io.Writer
			}
			peers := make(chan peer, 1)
			u := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, brw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return // HTTP/2
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, accepted)
				peers <- peer{brw.Reader, conn}
				<-t.Context().Done()
			}))
			u.EnableHTTP2 = true
			u.StartTLS()
			t.Cleanup(u.Close)
			s := start(t, "", paritySite(t, u.URL, id.trust(more)))
			eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
				// first a request that leaves an HTTP/2 connection to reuse
				const name = "X-Name: 127.0.0.1\r\n"
				s.raw(strings.ReplaceAll(rawRequest("GET", name, ""), "PREFIX", prefix))
				c := &tunnel{TCPConn: s.dial()}
				c.reader = bufio.NewReader(c.TCPConn)
				_, _ = io.WriteString(c, strings.NewReplacer("PREFIX", prefix, "Origin:", name+"Origin:").Replace(handshake))
				if c.head = readHead(t, c.reader); !strings.HasPrefix(c.head, "HTTP/1.1 101 ") {
					t.Fatalf("the answer to the handshake is %q", c.head)
				}
				peer := await(t, "the handshake", peers)
				passes(t, c, peer, maskedHello)
				passes(t, peer, c, hello)
			})
		})
	}
}

// channel is the client's end of a WebSocket that is a stream of HTTP/2 or
// HTTP/3.
type channel struct {
	io.Reader
	io.Writer
	closeWrite func() error
	abort      func()
}

// connect opens a channel with extended CONNECT (RFC 8441, RFC 9220).
type connect func(t *testing.T, s *server, path, protocol string) (*http.Response, *channel)

type startFunc func(t *testing.T, id *identity, options, site string) *server

func extendedConnect(s *server, path string) *http.Request {
	s.t.Helper()
	r, _ := s.request(http.MethodConnect, path, nil)
	r.URL.Scheme = "https"
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Protocol", "chat")
	return r
}

func connectHTTP3(id *identity) connect {
	return func(t *testing.T, s *server, path, protocol string) (*http.Response, *channel) {
		t.Helper()
		r := extendedConnect(s, path)
		r.Proto = protocol
		conn, err := quic.DialAddr(r.Context(), s.addr, &tls.Config{RootCAs: id.pool, NextProtos: []string{http3.NextProtoH3}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
		stream, err := new(http3.Transport).NewClientConn(conn).OpenRequestStream(r.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SetDeadline(time.Now().Add(patience))
		if err := stream.SendRequestHeader(r); err != nil {
			t.Fatal(err)
		}
		res, err := stream.ReadResponse()
		if err != nil {
			t.Fatal(err)
		}
		return res, &channel{stream, stream, stream.Close, func() { _ = conn.CloseWithError(0, "") }}
	}
}

func connectHTTP2(id *identity) connect {
	return func(t *testing.T, s *server, path, protocol string) (*http.Response, *channel) {
		t.Helper()
		//lint:ignore SA1019 http.Transport sends no :protocol
		transport := &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: id.pool, NextProtos: []string{"h2"}}}
		//lint:ignore SA1019 as above
		t.Cleanup(transport.CloseIdleConnections)
		r := extendedConnect(s, path)
		r.Header[":protocol"] = []string{protocol}
		body, pipe := io.Pipe()
		r.Body = body
		//lint:ignore SA1019 as above
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res, &channel{res.Body, pipe, pipe.Close, func() { res.Body.Close() }}
	}
}

// upgraded opens a channel that has to be opened.
func (open connect) upgraded(t *testing.T, s *server, prefix string, tunnels <-chan net.Conn) (*channel, net.Conn) {
	t.Helper()
	res, c := open(t, s, prefix+"/chat", "websocket")
	if res.StatusCode != 200 || res.Header.Get("Sec-Websocket-Protocol") != "chat" || res.Header.Get("X-Site") != "yes" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	// these are the handshake's in HTTP/1.1 and mean nothing here
	for _, name := range []string{"Upgrade", "Connection", "Sec-Websocket-Accept"} {
		if value := res.Header.Get(name); value != "" {
			t.Errorf("%s: %s", name, value)
		}
	}
	return c, await(t, "the handshake", tunnels)
}

// What a WebSocket is in HTTP/2 and 3 is the upgrade of HTTP/1.1 for the
// upstream.
func testExtendedConnect(t *testing.T, start startFunc, id *identity, open connect) {
	u, tunnels := newChat(t, accepted)
	s := start(t, id, "", logged(paritySite(t, u.url, "")))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		u.seen()
		c, peer := open.upgraded(t, s, prefix, tunnels)
		for range 3 {
			passes(t, c, peer, maskedHello)
			passes(t, peer, c, hello)
		}
		large := strings.Repeat("0123456789abcdef", 1<<15)
		passes(t, c, peer, large)
		passes(t, peer, c, large)

		request := u.one(t)
		wantIn(t, request, []string{"GET /chat HTTP/1.1\r\n", "\r\nUpgrade: websocket\r\n", "\r\nConnection: Upgrade\r\n", "\r\nSec-WebSocket-Version: 13\r\n"},
			[]string{":protocol", "Transfer-Encoding", "Content-Length"})
		keys := headerValues(request, "Sec-WebSocket-Key")
		if isConnector(prefix) {
			wantProof(t, request, "alice")
		}

		// the upstream's end is the client's
		peer.Close()
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("the client's end: %v", err)
		}
		// and the other way round: a clean one, and one that is not
		for _, end := range []func(*channel){func(c *channel) { _ = c.closeWrite() }, func(c *channel) { c.abort() }} {
			c, peer = open.upgraded(t, s, prefix, tunnels)
			passes(t, c, peer, maskedHello)
			passes(t, peer, c, hello)
			end(c)
			ends(t, peer)
			peer.Close()
			keys = append(keys, headerValues(u.one(t), "Sec-WebSocket-Key")...)
		}
		s.accessEntries(prefix+"/chat", 3)

		// each handshake has a nonce of its own
		if slices.Sort(keys); len(keys) != 3 || len(slices.Compact(keys)) != 3 {
			t.Errorf("the keys are %q", keys)
		}
		for _, key := range keys {
			if nonce, err := base64.StdEncoding.DecodeString(key); err != nil || len(nonce) != 16 {
				t.Errorf("the key is %q", key)
			}
		}
	})

	// nobody's WebSocket is nobody's
	u.seen()
	if res, _ := open(t, &server{t: t, addr: s.addr}, "/connector/unknown/chat", "websocket"); res.StatusCode != 404 {
		t.Errorf("unknown service: %d", res.StatusCode)
	}
	// other protocols have no upgrade in HTTP/1.1
	if res, _ := open(t, s, "/connector/sales/chat", "connect-udp"); res.StatusCode/100 == 2 {
		t.Errorf("another protocol: %d", res.StatusCode)
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}

// An upstream that refuses is heard, and one that switches to something else is
// not.
func testExtendedConnectRefused(t *testing.T, start startFunc, id *identity, open connect) {
	u := newUpstream(t, func(r *http.Request, conn net.Conn) {
		if r.URL.Path == "/refused" {
			_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Type: a/b\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		} else {
			_, _ = io.WriteString(conn, strings.Replace(accepted, "Upgrade: websocket", "Upgrade: other", 1))
		}
	})
	s := start(t, id, "", paritySite(t, u.url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		res, c := open(t, s, prefix+"/refused", "websocket")
		body, err := io.ReadAll(c)
		if res.StatusCode != 403 || string(body) != "no" || err != nil || res.Header.Get("Proxy-Status") != "" {
			t.Errorf("%d %v %q, %v", res.StatusCode, res.Header, body, err)
		}
	})
	res, c := open(t, s, "/connector/sales/chat", "websocket")
	body, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	answer{res, string(body)}.isProblem(t, 502, "upstream_failed")
}

// A config that no longer has the way to the upstream ends these WebSockets as
// it does those of HTTP/1.1.
func testExtendedConnectReload(t *testing.T, start startFunc, id *identity, open connect) {
	u, tunnels := newChat(t, accepted)
	for _, route := range routes {
		t.Run(route.name, func(t *testing.T) {
			s := start(t, id, "", logged(paritySite(t, u.url, "")))
			c, peer := open.upgraded(t, s, route.prefix, tunnels)
			passes(t, c, peer, maskedHello)
			s.load("", id.secure(s.addr, "EDGE {\n\trespond ok\n}\n"))
			arrives(t, c, goingAway)
			if _, err := io.Copy(io.Discard, peer); err != nil { // a close frame, perhaps
				t.Errorf("the upstream's end: %v", err)
			}
			s.accessEntries(route.prefix+"/chat", 1)
		})
	}
	// connector does not wait for a client that does not read
	t.Run("stalled", func(t *testing.T) {
		s := start(t, id, "", logged(paritySite(t, u.url, "")))
		c, peer := open.upgraded(t, s, "/connector/sales", tunnels)
		passes(t, c, peer, maskedHello)
		// fill what is between here and the client, as far as it goes in a while
		_ = peer.SetWriteDeadline(time.Now().Add(time.Second))
		for err := error(nil); err == nil; {
			_, err = peer.Write(make([]byte, 1<<20))
		}
		s.load("", id.secure(s.addr, "EDGE {\n\trespond ok\n}\n"))
		s.accessEntries("/connector/sales/chat", 1)
	})
}

func TestParityWebSocketHTTP3(t *testing.T) {
	id := newIdentity(t)
	testExtendedConnect(t, startHTTP3, id, connectHTTP3(id))
}

func TestParityWebSocketHTTP3Refused(t *testing.T) {
	id := newIdentity(t)
	testExtendedConnectRefused(t, startHTTP3, id, connectHTTP3(id))
}

func TestParityWebSocketHTTP3Reload(t *testing.T) {
	id := newIdentity(t)
	testExtendedConnectReload(t, startHTTP3, id, connectHTTP3(id))
}

// Go's servers take part in RFC 8441 only in a process that began with this
// setting, so the test runs in one of its own.
func TestParityWebSocketHTTP2(t *testing.T) {
	const setting = "http2xconnect=1"
	if !strings.Contains(os.Getenv("GODEBUG"), setting) {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), "GODEBUG="+setting)
		if output, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	id := newIdentity(t)
	t.Run("open", func(t *testing.T) { testExtendedConnect(t, startTLS, id, connectHTTP2(id)) })
	t.Run("reload", func(t *testing.T) { testExtendedConnectReload(t, startTLS, id, connectHTTP2(id)) })
	t.Run("refused", func(t *testing.T) { testExtendedConnectRefused(t, startTLS, id, connectHTTP2(id)) })
}
