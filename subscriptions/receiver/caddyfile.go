package receiver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/directive"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("verify_webhook", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("verify_webhook", httpcaddyfile.After, "basic_auth")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	verify_webhook [<matcher>] <secret> [<old_secret>...] {
//	    tolerance     <duration>
//	    max_body      <size>
//	    header_prefix <prefix>
//	    hub_signature
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	h.Secrets = d.RemainingArgs()
	if len(h.Secrets) == 0 {
		return d.ArgErr()
	}
	for i, configured := range h.Secrets {
		if configured == "" {
			return d.Errf("secret %d is empty", i+1)
		}
	}
	err := directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "tolerance":
			return true, directive.Duration(d, &h.Tolerance)
		case "max_body":
			return true, directive.Size(d, &h.MaxBody)
		case "header_prefix":
			return true, directive.Word(d, &h.HeaderPrefix, signature.CheckPrefix)
		case "hub_signature":
			return true, directive.Flag(d, &h.HubSignature)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
