package connector

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/directive"
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
	start := d.Token()
	if err := directive.Block(d, func(name string) (bool, error) { return h.unmarshalSubdirective(d, name) }); err != nil {
		return err
	}
	if len(h.Services) == 0 {
		return fmt.Errorf("connector: at least one service is required, at %s:%d", start.File, start.Line)
	}
	if _, err := proxyauth.NewHeaders(h.SecretHeader, h.UserHeader); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *Handler) unmarshalSubdirective(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "prefix":
		return true, directive.Word(d, &h.Prefix, checkPrefix)
	case "user":
		return true, directive.Word(d, &h.User, nil)
	case "secret_header":
		return true, directive.Word(d, &h.SecretHeader, proxyauth.CheckHeaderName)
	case "user_header":
		return true, directive.Word(d, &h.UserHeader, proxyauth.CheckHeaderName)
	case "forward_credentials":
		return true, directive.Flag(d, &h.ForwardCredentials)
	case "max_body":
		return true, directive.Size(d, &h.MaxBody)
	case "transport":
		return true, h.unmarshalTransport(d)
	case "service":
		return true, h.unmarshalService(d)
	}
	return false, nil
}

func (h *Handler) unmarshalTransport(d *caddyfile.Dispenser) (err error) {
	if h.TransportRaw != nil {
		return directive.Duplicate(d)
	}
	h.TransportRaw, err = directive.HTTPTransport(d)
	return err
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
	err := directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "proxy_url":
			return true, directive.Word(d, &service.ProxyURL, checkProxyURL)
		case "proxy_secret":
			return true, directive.Word(d, &service.ProxySecret, checkNotEmpty)
		case "sign":
			return true, directive.Flag(d, &service.Sign)
		}
		return false, nil
	})
	if err != nil {
		return err
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

func checkPrefix(prefix string) error {
	if !strings.HasPrefix(prefix, "/") || len(prefix) > 1 && strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("prefix '%s' must begin with a slash and not end with one", prefix)
	}
	if !rawpath.IsLiteral(prefix) {
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
