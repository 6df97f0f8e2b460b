package connector

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/proxyauth"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("connector", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("connector", httpcaddyfile.Before, "reverse_proxy")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	connector [<matcher>] {
//	    prefix        <path>
//	    user          <placeholder>
//	    secret_header <name>
//	    user_header   <name>
//	    forward_credentials
//	    max_body      <size>
//	    transport http {
//	        ...
//	    }
//	    service <id> <proxy_url> [<proxy_secret>]
//	    service <id> {
//	        proxy_url    <url>
//	        proxy_secret <secret>
//	        sign
//	    }
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.ArgErr()
	}
	directive := d.Token()
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := h.unmarshalSubdirective(d); err != nil {
			return err
		}
	}
	if len(h.Services) == 0 {
		return fmt.Errorf("connector: at least one service is required, at %s:%d", directive.File, directive.Line)
	}
	if _, err := proxyauth.NewHeaders(h.SecretHeader, h.UserHeader); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *Handler) unmarshalSubdirective(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "prefix":
		return unmarshalWord(d, &h.Prefix, checkPrefix)
	case "user":
		return unmarshalWord(d, &h.User, nil)
	case "secret_header":
		return unmarshalWord(d, &h.SecretHeader, proxyauth.CheckHeaderName)
	case "user_header":
		return unmarshalWord(d, &h.UserHeader, proxyauth.CheckHeaderName)
	case "forward_credentials":
		return unmarshalFlag(d, &h.ForwardCredentials)
	case "max_body":
		var size string
		if h.MaxBody != 0 {
			return d.Errf("duplicate subdirective '%s'", d.Val())
		}
		if err := unmarshalWord(d, &size, nil); err != nil {
			return err
		}
		bytes, err := humanize.ParseBytes(size)
		if err != nil || bytes == 0 || bytes > math.MaxInt64 {
			return d.Errf("max_body '%s' is not a size above zero", size)
		}
		h.MaxBody = int64(bytes)
		return nil
	case "transport":
		return h.unmarshalTransport(d)
	case "service":
		return h.unmarshalService(d)
	}
	return d.Errf("unrecognized subdirective '%s'", d.Val())
}

func (h *Handler) unmarshalTransport(d *caddyfile.Dispenser) error {
	if h.TransportRaw != nil {
		return d.Errf("duplicate subdirective '%s'", d.Val())
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	if d.Val() != "http" {
		return d.Errf("transport must be 'http', not '%s'", d.Val())
	}
	transport, err := caddyfile.UnmarshalModule(d, "http.reverse_proxy.transport.http")
	if err != nil {
		return err
	}
	h.TransportRaw = caddyconfig.JSONModuleObject(transport, "protocol", "http", nil)
	return nil
}

func (h *Handler) unmarshalService(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 3 {
		return d.ArgErr()
	}
	id := args[0]
	if err := checkServiceID(id); err != nil {
		return d.WrapErr(err)
	}
	if h.Services[id] != nil {
		return d.Errf("duplicate service '%s'", id)
	}
	service := new(Service)
	if len(args) > 1 {
		service.ProxyURL = args[1]
		if err := checkProxyURL(service.ProxyURL); err != nil {
			return d.WrapErr(err)
		}
	}
	if len(args) > 2 {
		service.ProxySecret = args[2]
		if err := checkNotEmpty(service.ProxySecret); err != nil {
			return d.WrapErr(err)
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "proxy_url":
			err = unmarshalWord(d, &service.ProxyURL, checkProxyURL)
		case "proxy_secret":
			err = unmarshalWord(d, &service.ProxySecret, checkNotEmpty)
		case "sign":
			err = unmarshalFlag(d, &service.Sign)
		default:
			err = d.Errf("unrecognized subdirective '%s'", d.Val())
		}
		if err != nil {
			return err
		}
	}
	if service.ProxyURL == "" {
		return d.Errf("service '%s' has no proxy_url", id)
	}
	if service.Sign && service.ProxySecret == "" {
		return d.Errf("service '%s' has no proxy_secret to sign with", id)
	}
	if h.Services == nil {
		h.Services = make(map[string]*Service)
	}
	h.Services[id] = service
	return nil
}

// unmarshalWord reads the one argument of a subdirective that may stand once.
func unmarshalWord(d *caddyfile.Dispenser, word *string, check func(string) error) error {
	if *word != "" {
		return d.Errf("duplicate subdirective '%s'", d.Val())
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	*word = d.Val()
	if check != nil {
		if err := check(*word); err != nil {
			return d.WrapErr(err)
		}
	}
	return unmarshalEnd(d)
}

// unmarshalFlag reads a subdirective that may stand once, alone.
func unmarshalFlag(d *caddyfile.Dispenser, flag *bool) error {
	if *flag {
		return d.Errf("duplicate subdirective '%s'", d.Val())
	}
	*flag = true
	return unmarshalEnd(d)
}

// unmarshalEnd refuses further arguments and a block.
func unmarshalEnd(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("unexpected block: '%s'", d.Val())
	}
	return nil
}

func checkPrefix(prefix string) error {
	if !strings.HasPrefix(prefix, "/") || len(prefix) > 1 && strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("prefix '%s' must begin with a slash and not end with one", prefix)
	}
	if strings.ContainsAny(prefix, "{}?# ") || rawpath.Check(prefix) != nil {
		return fmt.Errorf("prefix '%s' is not a path", prefix)
	}
	return nil
}

func checkProxyURL(proxyURL string) error {
	if strings.Contains(proxyURL, "{") {
		return nil // a placeholder: checked when the config is loaded
	}
	_, err := parseProxyURL(proxyURL)
	return err
}

func checkNotEmpty(configured string) error {
	if configured == "" {
		return fmt.Errorf("the secret is empty")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
