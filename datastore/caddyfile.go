package datastore

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/f737063d/caddy-connector/internal/directive"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("connector", parseGlobalOption)
}

func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("duplicate global option 'connector'")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "connector", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from Caddyfile tokens. Syntax:
//
//	connector {
//	    egress {
//	        allow      <range>...
//	        trust_pool <module> ...
//	    }
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume option name
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := false
	return directive.Block(d, func(name string) (bool, error) {
		if name != "egress" {
			return false, nil
		}
		if seen {
			return true, directive.Duplicate(d)
		}
		seen = true
		return true, a.Egress.unmarshal(d)
	})
}

func (e *Egress) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "allow":
			return true, e.unmarshalAllow(d)
		case "trust_pool":
			return true, e.unmarshalTrustPool(d)
		}
		return false, nil
	})
}

func (e *Egress) unmarshalAllow(d *caddyfile.Dispenser) error {
	ranges := d.RemainingArgs()
	if len(ranges) == 0 {
		return d.ArgErr()
	}
	for _, text := range ranges {
		if _, err := parseRange(text); err != nil {
			return d.WrapErr(err)
		}
	}
	e.Allow = append(e.Allow, ranges...)
	return directive.NoBlock(d, "allow")
}

func (e *Egress) unmarshalTrustPool(d *caddyfile.Dispenser) error {
	if e.TrustPoolRaw != nil {
		return directive.Duplicate(d)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	provider := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "tls.ca_pool.source."+provider)
	if err != nil {
		return err
	}
	e.TrustPoolRaw = caddyconfig.JSONModuleObject(module, "provider", provider, nil)
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)
