package integration

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The handshake and the frames of RFC 6455's own examples (1.3, 5.7).
const (
	handshakeLines = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://example.com\r\n"
	handshake = "GET PREFIX/chat HTTP/1.1\r\nHost: edge.example\r\nAuthorization: " + aliceCredentials + "\r\n" + handshakeLines + "\r\n"
	accepted  = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"

	maskedHello = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
	hello       = "\x81\x05Hello"
	goingAway   = "\x88\x02\x03\xe9"
)

// newChat starts an upstream that answers every handshake, and hands out its
// ends of the tunnels.
func newChat(t *testing.T, answer string) (*upstream, <-chan net.Conn) {
	t.Helper()
	tunnels := make(chan net.Conn, 1)
	return newUpstream(t, func(_ *http.Request, conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, answer)
		tunnels <- conn
		<-t.Context().Done()
	}), tunnels
}

// tunnel is the client's end.
type tunnel struct {
	*net.TCPConn
	head   string // of the answer
	reader *bufio.Reader
}

func (c *tunnel) Read(p []byte) (int, error) { return c.reader.Read(p) }

// upgrade does the handshake. What follows is sent with it.
func (s *server) upgrade(prefix, following string) *tunnel {
	s.t.Helper()
	c := &tunnel{TCPConn: s.dial()}
	c.reader = bufio.NewReader(c.TCPConn)
	if _, err := io.WriteString(c, strings.ReplaceAll(handshake, "PREFIX", prefix)+following); err != nil {
		s.t.Fatal(err)
	}
	if c.head = readHead(s.t, c.reader); !strings.HasPrefix(c.head, "HTTP/1.1 101 Switching Protocols\r\n") {
		s.t.Fatalf("the answer to the handshake is %q", c.head)
	}
	return c
}

// passes checks that what is written here arrives there.
func passes(t *testing.T, from io.Writer, to io.Reader, data string) {
	t.Helper()
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(from, data)
		written <- err
	}()
	arrives(t, to, data)
	if err := await(t, "the end of writing", written); err != nil {
		t.Fatal(err)
	}
}

func arrives(t *testing.T, to io.Reader, data string) {
	t.Helper()
	got := make([]byte, len(data))
	if n, err := io.ReadFull(to, got); err != nil || string(got) != data {
		t.Fatalf("%.20q arrived, %v; want %.20q", got[:n], err, data)
	}
}

// ends checks that there is nothing more, and that the connection is over.
func ends(t *testing.T, to io.Reader) {
	t.Helper()
	rest, err := io.ReadAll(to)
	if errors.Is(err, os.ErrDeadlineExceeded) || len(rest) > 0 {
		t.Fatalf("the connection is not over: %q, %v", rest, err)
	}
}

// The handshake arrives with the proof, and in the spelling of RFC 6455, which
// some servers insist on; so does its answer.
func TestParityWebSocketHandshake(t *testing.T) {
	u, tunnels := newChat(t, accepted)
	s := start(t, "", paritySite(t, u.url, "transport http {\ncompression off\n}"))
	var seen []string
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		c := s.upgrade(prefix, "")
		await(t, "the handshake", tunnels)
		request := u.one(t)
		if isConnector(prefix) {
			wantProof(t, request, "alice")
		}
		seen = append(seen, withoutProof(request))
		wantIn(t, request, []string{
			"GET /chat HTTP/1.1\r\n", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n",
			"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "\r\nSec-WebSocket-Version: 13\r\n",
			"\r\nSec-WebSocket-Protocol: chat\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
		}, nil)
		wantIn(t, c.head, []string{
			"\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nX-Site: yes\r\n",
			"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n",
		}, nil)
	})
	if seen[0] != seen[1] {
		t.Errorf("through reverse_proxy\n%s\nthrough connector\n%s", seen[0], seen[1])
	}
}

// What ends at this hop, and the proof, are not in the 101 either.
func TestParityWebSocketAnswerHeader(t *testing.T) {
	u, tunnels := newChat(t, strings.Replace(accepted, "Connection: Upgrade\r\n", "Connection: Upgrade, X-Hop\r\nX-Hop: 1\r\n"+
		"Keep-Alive: timeout=5\r\nAlt-Svc: h3=\":443\"\r\nX-End: 1\r\nBlink-Auth-Proxysecret: "+proxySecret+"\r\n", 1))
	s := start(t, "", paritySite(t, u.url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		c := s.upgrade(prefix, "")
		passes(t, await(t, "the handshake", tunnels), c, hello)
		wantIn(t, c.head, []string{"\r\nX-End: 1\r\n"}, []string{"X-Hop", "Keep-Alive", "Alt-Svc"})
		if isConnector(prefix) {
			wantIn(t, c.head, nil, []string{"Blink-Auth", proxySecret})
		}
	})
}

// Frames pass both ways, one by one and large ones.
func TestParityWebSocketFrames(t *testing.T) {
	large := make([]byte, 1<<20)
	if _, err := rand.Read(large); err != nil {
		t.Fatal(err)
	}
	for _, log := range []bool{false, true} {
		u, tunnels := newChat(t, accepted)
		site := paritySite(t, u.url, "")
		if log { // which puts one more layer around the connection
			site = logged(site)
		}
		s := start(t, "", site)
		eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
			c := s.upgrade(prefix, "")
			peer := await(t, "the handshake", tunnels)
			for range 10 {
				passes(t, c, peer, maskedHello)
				passes(t, peer, c, hello)
			}
			passes(t, c, peer, string(large))
			passes(t, peer, c, string(large))
			peer.Close()
			ends(t, c)
			if log {
				s.accessEntries(prefix+"/chat", 1)
			}
		})
	}
}

// A client that does not wait for the 101 loses nothing.
func TestParityUpgradeEarlyData(t *testing.T) {
	u, tunnels := newChat(t, accepted)
	s := start(t, "", paritySite(t, u.url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		c := s.upgrade(prefix, maskedHello)
		peer := await(t, "the handshake", tunnels)
		arrives(t, peer, maskedHello)
		passes(t, c, peer, "later")
	})
}

// The end of one side is the end of the other.
func TestParityWebSocketEnd(t *testing.T) {
	u, tunnels := newChat(t, accepted)
	s := start(t, "", logged(paritySite(t, u.url, "")))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		const each = 20 // the end races with what else happens
		for range each {
			c := s.upgrade(prefix, "")
			peer := await(t, "the handshake", tunnels)
			passes(t, c, peer, maskedHello)
			peer.Close()
			ends(t, c)

			c = s.upgrade(prefix, "")
			peer = await(t, "the handshake", tunnels)
			passes(t, peer, c, hello)
			c.Close()
			ends(t, peer)
			peer.Close()
		}
		s.accessEntries(prefix+"/chat", 2*each)
	})
}

// The access log knows what it was.
func TestParityWebSocketLogged(t *testing.T) {
	u, tunnels := newChat(t, accepted)
	s := start(t, "", logged(paritySite(t, u.url, "")))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		c := s.upgrade(prefix, "")
		await(t, "the handshake", tunnels).Close()
		ends(t, c)
		if entry := s.accessEntries(prefix+"/chat", 1)[0]; entry.Status != 101 {
			t.Errorf("the access log has status %d, want 101", entry.Status)
		}
	})
}

// A side that has said everything can still listen.
func TestParityUpgradeHalfClose(t *testing.T) {
	u, tunnels := newChat(t, accepted)
	s := start(t, "", paritySite(t, u.url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		c := s.upgrade(prefix, "")
		peer := await(t, "the handshake", tunnels)
		passes(t, c, peer, maskedHello)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		ends(t, peer)
		passes(t, peer, c, hello)
		peer.Close()
		ends(t, c)

		c = s.upgrade(prefix, "")
		peer = await(t, "the handshake", tunnels)
		passes(t, peer, c, hello)
		if err := peer.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		ends(t, c)
		passes(t, c, peer, maskedHello)
		c.Close()
		ends(t, peer)
	})
}

// Any other answer than 101 is an answer like others.
func TestParityUpgradeRefused(t *testing.T) {
	for _, status := range []string{"200 OK", "400 Bad Request", "403 Forbidden", "426 Upgrade Required"} {
		answer := "HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Type: a/b\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nno"
		u := newUpstream(t, rawAnswer(answer))
		s := start(t, "", paritySite(t, u.url, ""))
		raw := rawRequest("GET", handshakeLines, "")
		wanted, got := s.gotBy("/plain", raw), s.gotBy("/connector/sales", raw)
		if got != wanted {
			t.Errorf("%s: through reverse_proxy\n%q\nthrough connector\n%q", status, wanted, got)
		}
		wantIn(t, got, []string{"HTTP/1.1 " + status + "\r\n", "\r\n\r\nno"}, []string{"Proxy-Status"})
	}
}

// A 101 that nobody asked for is no answer. Here connector differs on purpose:
// reverse_proxy says 200 with an empty body.
func TestParityUpgradeToSomethingElse(t *testing.T) {
	for what, test := range map[string]struct{ lines, answer string }{
		"another protocol": {handshakeLines, strings.Replace(accepted, "Upgrade: websocket", "Upgrade: other", 1)},
		"no protocol":      {handshakeLines, strings.Replace(accepted, "Upgrade: websocket\r\n", "", 1)},
		"invalid protocol": {handshakeLines, strings.Replace(accepted, "Upgrade: websocket", "Upgrade: web\tsocket", 1)},
		"not asked for":    {"", accepted},
		"nothing asked":    {"", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
	} {
		t.Run(what, func(t *testing.T) {
			u, tunnels := newChat(t, test.answer)
			s := start(t, "", logged(paritySite(t, u.url, "")))
			got := s.raw(strings.ReplaceAll(rawRequest("GET", test.lines, ""), "PREFIX", "/connector/sales"))
			got.isProblem(t, 502, "upstream_failed")
			if got.Header.Get("Upgrade") != "" || got.Header.Get("Sec-Websocket-Accept") != "" {
				t.Errorf("the header is %v", got.Header)
			}
			ends(t, await(t, "the handshake", tunnels))
		})
	}
}

// Not only WebSockets.
func TestParityUpgradeOther(t *testing.T) {
	u, tunnels := newChat(t, strings.ReplaceAll(accepted, "websocket", "own/1"))
	s := start(t, "", paritySite(t, u.url, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		c := &tunnel{TCPConn: s.dial()}
		c.reader = bufio.NewReader(c.TCPConn)
		_, _ = io.WriteString(c, strings.NewReplacer("PREFIX", prefix, "websocket", "own/1").Replace(handshake))
		wantIn(t, readHead(t, c.reader), []string{"HTTP/1.1 101 ", "\r\nUpgrade: own/1\r\n"}, nil)
		peer := await(t, "the handshake", tunnels)
		wantIn(t, u.one(t), []string{"\r\nUpgrade: own/1\r\n"}, nil)
		passes(t, peer, c, "anything")
		passes(t, c, peer, "at all")
	})
}

// A config that no longer has the way to the upstream closes the tunnels that
// the old one opened; WebSockets with a close frame. (reverse_proxy does so on
// any reload, connector only then: see TestReloadAndWebSockets.)
func TestParityReloadClosesWebSockets(t *testing.T) {
	u, tunnels := newChat(t, accepted)
	for _, route := range routes {
		t.Run(route.name, func(t *testing.T) {
			s := start(t, "", paritySite(t, u.url, ""))
			c := s.upgrade(route.prefix, "")
			peer := await(t, "the handshake", tunnels)
			passes(t, c, peer, maskedHello)
			s.load("", "EDGE {\n\trespond ok\n}\n")
			arrives(t, c, goingAway)
			ends(t, c)
			if _, err := io.Copy(io.Discard, peer); err != nil { // reverse_proxy sends a close frame here, too
				t.Errorf("the upstream's end: %v", err)
			}
		})
	}
}
