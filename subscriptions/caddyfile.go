package subscriptions

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/directive"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("subscriptions", parseSubscriptions)
	httpcaddyfile.RegisterDirectiveOrder("subscriptions", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterHandlerDirective("publish_events", parsePublishEvents)
	httpcaddyfile.RegisterDirectiveOrder("publish_events", httpcaddyfile.Before, "reverse_proxy")
}

func parseSubscriptions(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

func parsePublishEvents(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Publisher)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	subscriptions [<matcher>] {
//	    prefix        <path>
//	    user          <placeholder>
//	    event_types   <type>...
//	    event_type <type> {
//	        description <text>
//	        schema      <file>
//	        sample      <file>
//	    }
//	    resource <type> {
//	        from        <url>
//	        id          <member>
//	        value       <member>
//	        user_header <name>
//	        header      <name> <value>
//	        forward_credentials
//	        transport http {
//	            ...
//	        }
//	    }
//	    resource <type> {
//	        public
//	    }
//	    max_per_owner <n>
//	    max_body      <size>
//	    allow_http
//	    signature {
//	        headers <id> <timestamp> <signature>
//	        hub
//	    }
//	    origin        <dns_name>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	start := d.Token()
	if d.NextArg() {
		return d.ArgErr()
	}
	listed := false
	err := directive.Block(d, func(name string) (bool, error) {
		if name == "event_types" {
			if listed {
				return true, directive.Duplicate(d)
			}
			listed = true
		}
		return h.unmarshal(d, name)
	})
	if err != nil {
		return err
	}
	var missing string
	switch {
	case len(h.EventTypes) == 0:
		missing = "event_types"
	case len(h.Resources) == 0:
		missing = "resource"
	default:
		return nil
	}
	return fmt.Errorf("subscriptions: '%s' is required, at %s:%d", missing, start.File, start.Line)
}

func (h *Handler) unmarshal(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "prefix":
		return true, directive.Word(d, &h.Prefix, checkPath)
	case "user":
		return true, directive.Word(d, &h.User, nil)
	case "event_types":
		return true, h.unmarshalEventTypes(d)
	case "event_type":
		return true, h.unmarshalEventType(d)
	case "resource":
		return true, h.unmarshalResource(d)
	case "max_per_owner":
		return true, directive.Number(d, &h.MaxPerOwner)
	case "max_body":
		return true, directive.Size(d, &h.MaxBody)
	case "allow_http":
		return true, directive.Flag(d, &h.AllowHTTP)
	case "signature":
		return true, h.unmarshalSignature(d)
	case "origin":
		return true, directive.Word(d, &h.Origin, checkOrigin)
	}
	return false, nil
}

func (h *Handler) unmarshalResource(d *caddyfile.Dispenser) error {
	start := d.Token()
	var name string
	if !d.AllArgs(&name) {
		return d.ArgErr()
	}
	if err := checkName(name); err != nil {
		return d.WrapErr(err)
	}
	if h.Resources[name] != nil {
		return d.Errf("duplicate resource '%s'", name)
	}
	resource := new(Resource)
	if err := directive.Block(d, func(name string) (bool, error) { return resource.unmarshal(d, name) }); err != nil {
		return err
	}
	if err := resource.checkSource(); err != nil {
		return fmt.Errorf("resource '%s': %w, at %s:%d", name, err, start.File, start.Line)
	}
	if h.Resources == nil {
		h.Resources = make(map[string]*Resource)
	}
	h.Resources[name] = resource
	return nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	publish_events [<matcher>] {
//	    path       <path>
//	    user       <placeholder>
//	    max_body   <size>
//	    max_events <n>
//	    max_data   <size>
//	}
func (p *Publisher) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.ArgErr()
	}
	return directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "path":
			return true, directive.Word(d, &p.Path, checkPath)
		case "user":
			return true, directive.Word(d, &p.User, nil)
		case "max_body":
			return true, directive.Size(d, &p.MaxBody)
		case "max_events":
			return true, directive.Number(d, &p.MaxEvents)
		case "max_data":
			return true, directive.Size(d, &p.MaxData)
		}
		return false, nil
	})
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Handler)(nil)
	_ caddyfile.Unmarshaler = (*Publisher)(nil)
)
