package connections

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/directive"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("connections", parseConnections)
	httpcaddyfile.RegisterDirectiveOrder("connections", httpcaddyfile.Before, "reverse_proxy")
}

func parseConnections(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	connections [<matcher>] {
//	    prefix        <path>
//	    user          <placeholder>
//	    public_url    <url>
//	    return_to     <url>...
//	    api_key       <owner> <secret>
//	    token_key     <issuer> <public_key> [<audience>]
//	    max_body      <size>
//	    max_per_owner <n>
//	    api <name> {
//	        base_url <url>
//	        variable <name> {
//	            default    <value>
//	            pattern    <regexp>
//	            max_length <n>
//	            overridable
//	        }
//	        auth none | basic | bearer | certificate
//	        auth api_key header|query|cookie <name>
//	        auth hmac header|query|cookie <name> {
//	            inputs        <input>...
//	            algorithm     sha1|sha256|sha512
//	            encoding      hex|base64
//	            prefix        <text>
//	            separator     <text>
//	            date_header   <name>
//	            date_format   http|rfc3339|unix|unix_ms
//	            digest_header <name>
//	        }
//	        auth oauth2 {
//	            grant           authorization_code|client_credentials|password
//	            authorize_url   <url>
//	            token_url       <url>
//	            revoke_url      <url>
//	            client_id       <id>
//	            client_secret   <secret>
//	            auth_style      header|body
//	            scopes          <scope>...
//	            issuer          <url>
//	            authorize_param <name> <value>
//	            token_param     <name> <value>
//	        }
//	        test           [<method>] <path>
//	        openapi        <file>
//	        allow_base_url <host>...
//	        rate_limit     <n>
//	    }
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
	if len(h.APIs) == 0 {
		return fmt.Errorf("connections: 'api' is required, at %s:%d", start.File, start.Line)
	}
	return nil
}

func (h *Handler) unmarshal(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "prefix":
		return true, directive.Word(d, &h.Prefix, checkPrefix)
	case "user":
		return true, directive.Word(d, &h.User, nil)
	case "public_url":
		return true, directive.Word(d, &h.PublicURL, checkPublicURL)
	case "return_to":
		if len(h.ReturnTo) > 0 {
			return true, directive.Duplicate(d)
		}
		if h.ReturnTo = d.RemainingArgs(); len(h.ReturnTo) == 0 {
			return true, d.ArgErr()
		}
		for _, location := range h.ReturnTo {
			if err := checkReturnTo(location); err != nil {
				return true, d.WrapErr(err)
			}
		}
		return true, directive.NoBlock(d, name)
	case "api_key":
		return true, h.unmarshalAPIKey(d)
	case "token_key":
		return true, h.unmarshalTokenKey(d)
	case "max_body":
		return true, directive.Size(d, &h.MaxBody)
	case "max_per_owner":
		return true, directive.Number(d, &h.MaxPerOwner)
	case "api":
		return true, h.unmarshalAPI(d)
	}
	return false, nil
}

func (h *Handler) unmarshalAPIKey(d *caddyfile.Dispenser) error {
	k := new(APIKey)
	if !d.AllArgs(&k.Owner, &k.Secret) {
		return d.ArgErr()
	}
	if !caller.ValidID(k.Owner) {
		return d.Errf("owner '%s' is not 1 to 255 visible ASCII characters", k.Owner)
	}
	if k.Secret == "" {
		return d.Err("the key is empty")
	}
	h.APIKeys = append(h.APIKeys, k)
	return directive.NoBlock(d, "api_key")
}

func (h *Handler) unmarshalTokenKey(d *caddyfile.Dispenser) error {
	var issuer string
	k := new(TokenKey)
	if !d.NextArg() {
		return d.ArgErr()
	}
	issuer = d.Val()
	switch args := d.RemainingArgs(); len(args) {
	case 2:
		k.PublicKey, k.Audience = args[0], args[1]
	case 1:
		k.PublicKey = args[0]
	default:
		return d.ArgErr()
	}
	switch {
	case issuer == "":
		return d.Err("the issuer is empty")
	case k.PublicKey == "":
		return d.Err("the public key is empty")
	case h.TokenKeys[issuer] != nil:
		return d.Errf("duplicate token_key '%s'", issuer)
	}
	if h.TokenKeys == nil {
		h.TokenKeys = make(map[string]*TokenKey)
	}
	h.TokenKeys[issuer] = k
	return directive.NoBlock(d, "token_key")
}

func (h *Handler) unmarshalAPI(d *caddyfile.Dispenser) error {
	start := d.Token()
	var name string
	if !d.AllArgs(&name) {
		return d.ArgErr()
	}
	if err := checkAPIName(name); err != nil {
		return d.WrapErr(err)
	}
	if h.APIs[name] != nil {
		return d.Errf("duplicate api '%s'", name)
	}
	api := new(API)
	if err := directive.Block(d, func(name string) (bool, error) { return api.unmarshal(d, name) }); err != nil {
		return err
	}
	if err := api.check(); err != nil {
		return fmt.Errorf("api '%s': %w, at %s:%d", name, err, start.File, start.Line)
	}
	if h.APIs == nil {
		h.APIs = make(map[string]*API)
	}
	h.APIs[name] = api
	return nil
}
