package proxyauth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/f737063d/caddy-connector/internal/directive"
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
	err := directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "secret_header":
			return true, directive.Word(d, &p.SecretHeader, CheckHeaderName)
		case "user_header":
			return true, directive.Word(d, &p.UserHeader, CheckHeaderName)
		case "signed":
			return true, directive.Flag(d, &p.Signed)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if _, err := NewHeaders(p.SecretHeader, p.UserHeader); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
