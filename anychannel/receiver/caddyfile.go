package receiver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/directive"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("any_channel_service", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("any_channel_service", httpcaddyfile.After, "basic_auth")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	any_channel_service [<matcher>] {
//	    max_body <size>
//	    secret   <member> <secret> [<old_secret>...]
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.ArgErr()
	}
	return directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "max_body":
			return true, directive.Size(d, &h.MaxBody)
		case "secret":
			return true, h.unmarshalSecret(d)
		}
		return false, nil
	})
}

func (h *Handler) unmarshalSecret(d *caddyfile.Dispenser) error {
	if h.Secret != nil {
		return directive.Duplicate(d)
	}
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.ArgErr()
	}
	if args[0] == "" {
		return d.Errf("the secret's member is empty")
	}
	for i, configured := range args[1:] {
		if configured == "" {
			return d.Errf("secret %d is empty", i+1)
		}
	}
	h.Secret = &MetadataSecret{Member: args[0], Secrets: args[1:]}
	return directive.NoBlock(d, "secret")
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
