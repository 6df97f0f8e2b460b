package connections

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/connections/template"
	"github.com/f737063d/caddy-connector/internal/directive"
)

func (a *API) unmarshal(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "base_url":
		return true, directive.Word(d, &a.BaseURL, nil)
	case "variable":
		return true, a.unmarshalVariable(d)
	case "auth":
		return true, a.unmarshalAuth(d)
	case "test":
		return true, a.unmarshalTest(d)
	case "openapi":
		return true, directive.Word(d, &a.OpenAPI, checkDocument)
	case "allow_base_url":
		if len(a.AllowBaseURL) > 0 {
			return true, directive.Duplicate(d)
		}
		if a.AllowBaseURL = d.RemainingArgs(); len(a.AllowBaseURL) == 0 {
			return true, d.ArgErr()
		}
		return true, directive.NoBlock(d, name)
	case "rate_limit":
		return true, directive.Number(d, &a.RateLimit)
	}
	return false, nil
}

// check checks what belongs together.
func (a *API) check() error {
	switch {
	case a.BaseURL == "":
		return errors.New("'base_url' is required")
	case len(a.Auth) == 0:
		return errors.New("'auth' is required")
	}
	return a.compile()
}

func (a *API) unmarshalVariable(d *caddyfile.Dispenser) error {
	var name string
	if !d.AllArgs(&name) {
		return d.ArgErr()
	}
	if !template.IsName(name) {
		return d.Errf("'%s' is not the name of a variable", name)
	}
	if a.Variables[name] != nil {
		return d.Errf("duplicate variable '%s'", name)
	}
	v := new(Variable)
	err := directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "default":
			return true, directive.Word(d, &v.Default, nil)
		case "pattern":
			return true, directive.Word(d, &v.Pattern, nil)
		case "max_length":
			return true, directive.Number(d, &v.MaxLength)
		case "overridable":
			return true, directive.Flag(d, &v.Overridable)
		}
		return false, nil
	})
	if a.Variables == nil {
		a.Variables = make(map[string]*Variable)
	}
	a.Variables[name] = v
	return err
}

func (a *API) unmarshalTest(d *caddyfile.Dispenser) error {
	if a.Test != nil {
		return directive.Duplicate(d)
	}
	switch args := d.RemainingArgs(); len(args) {
	case 1:
		a.Test = &TestRequest{Path: args[0]}
	case 2:
		a.Test = &TestRequest{Method: args[0], Path: args[1]}
	default:
		return d.ArgErr()
	}
	if err := a.Test.provision(); err != nil {
		return d.WrapErr(err)
	}
	return directive.NoBlock(d, "test")
}

func (a *API) unmarshalAuth(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	s := &Scheme{Type: args[0]}
	switch placed := s.Type == "api_key" || s.Type == "hmac"; {
	case placed && len(args) == 3:
		s.In, s.Name = args[1], args[2]
	case placed || len(args) != 1:
		return d.ArgErr()
	}
	a.Auth = append(a.Auth, s)
	if s.Type == "oauth2" {
		s.OAuth2 = new(OAuth2)
		if err := directive.Block(d, func(name string) (bool, error) { return s.OAuth2.unmarshal(d, name) }); err != nil {
			return err
		}
		return nil
	}
	if s.Type != "hmac" {
		if _, err := s.scheme(); err != nil {
			return d.WrapErr(err)
		}
		return directive.NoBlock(d, "auth")
	}
	s.HMAC = new(HMAC)
	return directive.Block(d, func(name string) (bool, error) { return s.HMAC.unmarshal(d, name) })
}

func (h *HMAC) unmarshal(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "inputs":
		if len(h.Inputs) > 0 {
			return true, directive.Duplicate(d)
		}
		if h.Inputs = d.RemainingArgs(); len(h.Inputs) == 0 {
			return true, d.ArgErr()
		}
		return true, directive.NoBlock(d, name)
	case "algorithm":
		return true, directive.Word(d, &h.Algorithm, nil)
	case "encoding":
		return true, directive.Word(d, &h.Encoding, nil)
	case "prefix":
		return true, directive.Word(d, &h.Prefix, nil)
	case "separator":
		return true, directive.Word(d, &h.Separator, nil)
	case "date_header":
		return true, directive.Word(d, &h.DateHeader, nil)
	case "date_format":
		return true, directive.Word(d, &h.DateFormat, nil)
	case "digest_header":
		return true, directive.Word(d, &h.DigestHeader, nil)
	}
	return false, nil
}

func (o *OAuth2) unmarshal(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "grant":
		return true, directive.Word(d, &o.Grant, nil)
	case "authorize_url":
		return true, directive.Word(d, &o.AuthorizeURL, nil)
	case "token_url":
		return true, directive.Word(d, &o.TokenURL, nil)
	case "revoke_url":
		return true, directive.Word(d, &o.RevokeURL, nil)
	case "client_id":
		return true, directive.Word(d, &o.ClientID, nil)
	case "client_secret":
		return true, directive.Word(d, &o.ClientSecret, nil)
	case "auth_style":
		return true, directive.Word(d, &o.AuthStyle, nil)
	case "issuer":
		return true, directive.Word(d, &o.Issuer, nil)
	case "scopes":
		if len(o.Scopes) > 0 {
			return true, directive.Duplicate(d)
		}
		if o.Scopes = d.RemainingArgs(); len(o.Scopes) == 0 {
			return true, d.ArgErr()
		}
		return true, directive.NoBlock(d, name)
	case "authorize_param":
		return true, parameter(d, name, &o.AuthorizeParams)
	case "token_param":
		return true, parameter(d, name, &o.TokenParams)
	}
	return false, nil
}

func parameter(d *caddyfile.Dispenser, directiveName string, params *map[string]string) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.ArgErr()
	}
	if _, repeated := (*params)[name]; repeated {
		return d.Errf("duplicate %s '%s'", directiveName, name)
	}
	if *params == nil {
		*params = make(map[string]string)
	}
	(*params)[name] = value
	return directive.NoBlock(d, directiveName)
}
