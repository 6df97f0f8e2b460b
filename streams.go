package connector

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// streamPool has the tunnels of every service of every running
// config. A reload that leaves a service as it is leaves its WebSockets open;
// one that removes it, or changes where it is or its secret, closes them.
var streamPool = caddy.NewUsagePool()

// streams are the tunnels of one service. net/http has given their connections
// away and no longer closes them.
type streams struct {
	mu     sync.Mutex
	open   map[*tunnel]struct{}
	closed bool
}

func (s *streams) add(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		t.goAway()
		return
	}
	if s.open == nil {
		s.open = make(map[*tunnel]struct{})
	}
	s.open[t] = struct{}{}
}

func (s *streams) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
}

// Destruct implements caddy.Destructor: the last config with the service is
// gone.
func (s *streams) Destruct() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for t := range s.open {
		go t.goAway()
	}
	return nil
}

// acquireStreams makes s share the tunnels of the same service in the config
// that this one replaces.
func (s *Service) acquireStreams(h *Handler) error {
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %v %q %q", s.id, s.proxyURL, s.secret.Reveal(), s.Sign, h.SecretHeader, h.UserHeader))
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
