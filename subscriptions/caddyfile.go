package subscriptions

import (
	"fmt"
	"slices"

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
//	    resource <type> {
//	        from  <url>
//	        id    <member>
//	        value <member>
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
	if err := directive.Block(d, func(name string) (bool, error) { return h.unmarshal(d, name) }); err != nil {
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

func (h *Handler) unmarshalEventTypes(d *caddyfile.Dispenser) error {
	if h.EventTypes != nil {
		return directive.Duplicate(d)
	}
	types := d.RemainingArgs()
	if len(types) == 0 {
		return d.ArgErr()
	}
	for i, eventType := range types {
		if err := checkType(eventType); err != nil {
			return d.WrapErr(err)
		}
		if slices.Contains(types[:i], eventType) {
			return d.Errf("duplicate type '%s'", eventType)
		}
	}
	h.EventTypes = types
	return directive.NoBlock(d, "event_types")
}

func (h *Handler) unmarshalResource(d *caddyfile.Dispenser) error {
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
	err := directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "from":
			return true, directive.Word(d, &resource.From, checkFrom)
		case "id":
			return true, directive.Word(d, &resource.ID, nil)
		case "value":
			return true, directive.Word(d, &resource.Value, nil)
		}
		return false, nil
	})
	if err != nil {
		return err
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
