package proxyauth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("proxy_secret", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("proxy_secret", httpcaddyfile.After, "basic_auth")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	provider := new(Provider)
	if err := provider.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return caddyauth.Authentication{
		ProvidersRaw: caddy.ModuleMap{"proxy_secret": caddyconfig.JSON(provider, nil)},
	}, nil
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	proxy_secret [<matcher>] <secret> [<old_secret>...] {
//	    secret_header <name>
//	    user_header   <name>
//	    signed
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	p.Secrets = d.RemainingArgs()
	if len(p.Secrets) == 0 {
		return d.ArgErr()
	}
	for i, configured := range p.Secrets {
		if configured == "" {
			return d.Errf("secret %d is empty", i+1)
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "secret_header":
			err = unmarshalHeaderName(d, &p.SecretHeader)
		case "user_header":
			err = unmarshalHeaderName(d, &p.UserHeader)
		case "signed":
			err = unmarshalFlag(d, &p.Signed)
		default:
			err = d.Errf("unrecognized subdirective '%s'", d.Val())
		}
		if err != nil {
			return err
		}
	}
	if _, err := NewHeaders(p.SecretHeader, p.UserHeader); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func unmarshalHeaderName(d *caddyfile.Dispenser, name *string) error {
	subdirective := d.Val()
	if *name != "" {
		return d.Errf("duplicate subdirective '%s'", subdirective)
	}
	if !d.AllArgs(name) {
		return d.ArgErr()
	}
	if err := CheckHeaderName(*name); err != nil {
		return d.WrapErr(err)
	}
	return refuseBlock(d, subdirective)
}

func unmarshalFlag(d *caddyfile.Dispenser, flag *bool) error {
	subdirective := d.Val()
	if *flag {
		return d.Errf("duplicate subdirective '%s'", subdirective)
	}
	if d.CountRemainingArgs() > 0 {
		return d.ArgErr()
	}
	*flag = true
	return refuseBlock(d, subdirective)
}

func refuseBlock(d *caddyfile.Dispenser, subdirective string) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("'%s' takes no block", subdirective)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
