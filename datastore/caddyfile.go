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
//	    database        sqlite [<path>] | postgres <dsn>
//	    encryption_keys <keys>...
//	    retention       <duration>
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
	egressSeen := false
	return directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "database":
			return true, a.DatabaseConfig.unmarshal(d)
		case "encryption_keys":
			if len(a.EncryptionKeys) > 0 {
				return true, directive.Duplicate(d)
			}
			if a.EncryptionKeys = d.RemainingArgs(); len(a.EncryptionKeys) == 0 {
				return true, d.ArgErr()
			}
			return true, directive.NoBlock(d, name)
		case "retention":
			return true, a.unmarshalRetention(d)
		case "egress":
			if egressSeen {
				return true, directive.Duplicate(d)
			}
			egressSeen = true
			return true, a.Egress.unmarshal(d)
		}
		return false, nil
	})
}

func (c *DatabaseConfig) unmarshal(d *caddyfile.Dispenser) error {
	if c.Driver != "" {
		return directive.Duplicate(d)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	c.Driver = Dialect(d.Val())
	switch c.Driver {
	case SQLite:
		if d.NextArg() {
			c.Path = d.Val()
		}
	case PostgreSQL:
		if !d.NextArg() {
			return d.ArgErr()
		}
		c.DSN = d.Val()
	default:
		return d.Errf("database must be sqlite or postgres, not '%s'", c.Driver)
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return directive.NoBlock(d, "database")
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
