package anychannel

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/internal/appcall"
	"github.com/f737063d/caddy-connector/internal/directive"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	http <url> {
//	    agent_header <name>
//	    header       <name> <value>
//	    timeout      <duration>
//	    cache        <duration>
//	    transport http {
//	        ...
//	    }
//	}
func (s *HTTPTickets) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume source name
	if !d.NextArg() {
		return d.ArgErr()
	}
	s.URL = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	return directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "agent_header":
			return true, directive.Word(d, &s.AgentHeader, appcall.CheckUserHeader)
		case "header":
			return true, appcall.UnmarshalHeader(d, &s.Headers)
		case "timeout":
			return true, directive.Duration(d, &s.Timeout)
		case "cache":
			return true, directive.Duration(d, &s.Cache)
		case "transport":
			return true, s.unmarshalTransport(d)
		}
		return false, nil
	})
}

func (s *HTTPTickets) unmarshalTransport(d *caddyfile.Dispenser) (err error) {
	if s.TransportRaw != nil {
		return directive.Duplicate(d)
	}
	s.TransportRaw, err = directive.HTTPTransport(d)
	return err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*HTTPTickets)(nil)
