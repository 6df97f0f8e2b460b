package connector

import (
	"crypto/sha256"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// streamPool has the upgraded connections of every service of every running
// config. A reload that leaves a service as it is leaves its WebSockets open;
// one that removes it, or changes where it is or its secret, closes them.
var streamPool = caddy.NewUsagePool()

// streams are the upgraded connections of one service. net/http has given them
// away and no longer closes them.
type streams struct {
	mu     sync.Mutex
	open   map[net.Conn]farewell
	closed bool
}

// farewell is what a client is sent before its connection is closed.
type farewell string

// goingAway is a WebSocket close frame with status 1001 (RFC 6455, sections 5.5.1
// and 7.4.1): the client may come back.
const goingAway farewell = "\x88\x02\x03\xe9"

// add remembers a client's connection. Closing it ends ReverseProxy's copying,
// and with it the upstream's side.
func (s *streams) add(conn net.Conn, last farewell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		last.say(conn)
		return
	}
	if s.open == nil {
		s.open = make(map[net.Conn]farewell)
	}
	s.open[conn] = last
}

func (last farewell) say(conn net.Conn) {
	// a client that does not read is not waited for
	_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = conn.Write([]byte(last))
	conn.Close()
}

func (s *streams) remove(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

// Destruct implements caddy.Destructor: the last config with the service is
// gone.
func (s *streams) Destruct() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for conn, last := range s.open {
		go last.say(conn)
	}
	return nil
}

// acquireStreams makes s share the connections of the same service in the
// config that this one replaces.
func (s *Service) acquireStreams(h *Handler) error {
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q", s.id, s.proxyURL, s.secret.Reveal(), h.SecretHeader, h.UserHeader))
	pooled, _, err := streamPool.LoadOrNew(key, func() (caddy.Destructor, error) { return new(streams), nil })
	if err != nil {
		return err
	}
	s.streams, s.streamsKey = pooled.(*streams), key
	return nil
}

func (s *Service) releaseStreams() error {
	if s.streams == nil {
		return nil
	}
	_, err := streamPool.Delete(s.streamsKey)
	return err
}

// Interface guard
var _ caddy.Destructor = (*streams)(nil)
