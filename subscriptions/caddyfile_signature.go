package subscriptions

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/internal/directive"
)

func (h *Handler) unmarshalSignature(d *caddyfile.Dispenser) error {
	if h.Signature != nil {
		return directive.Duplicate(d)
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	h.Signature = new(Signature)
	return directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "headers":
			return true, h.Signature.unmarshalHeaders(d)
		case "hub":
			return true, directive.Flag(d, &h.Signature.Hub)
		}
		return false, nil
	})
}

func (s *Signature) unmarshalHeaders(d *caddyfile.Dispenser) error {
	if s.Headers != nil {
		return directive.Duplicate(d)
	}
	if s.Headers = d.RemainingArgs(); len(s.Headers) != 3 {
		return d.ArgErr()
	}
	if err := s.validate(); err != nil {
		return d.WrapErr(err)
	}
	return directive.NoBlock(d, "headers")
}
