// Package target decides where a request to a connected API goes, and with which
// of its header fields.
package target

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/f737063d/caddy-connector/connections/template"
	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// API is where an API is. It can be used by several goroutines.
type API struct {
	base    *template.Template
	allowed map[string]bool // hosts of other base URLs, with the port
}

// New returns the API with that base URL, instead of which a request may name
// another one on an allowed host: a name or address with or without a port,
// which is 443 otherwise.
func New(base *template.Template, allowed ...string) (*API, error) {
	if base.HasQuery() {
		return nil, errors.New("the base URL must not have a query")
	}
	a := &API{base, make(map[string]bool, len(allowed))}
	for _, written := range allowed {
		host, ok := parseAuthority(written)
		if !ok {
			return nil, fmt.Errorf("%q is not a host, with or without a port", written)
		}
		if a.allowed[host] {
			return nil, fmt.Errorf("host %q is allowed twice", written)
		}
		a.allowed[host] = true
	}
	return a, nil
}

// Locate returns the URL that a request goes to: the base URL with the variables
// that are stored with its connection, and the rest of the path and the query
// byte for byte. The rest is the escaped path behind the connection's id; in is
// the request's URL. The error is a *Refusal, or a *template.Refusal.
func (a *API) Locate(stored map[string]string, c Controls, in *url.URL, rest string) (*url.URL, error) {
	if rawpath.Check(rest) != nil || rest != "" && rest[0] != '/' || !isQuery(in.RawQuery) {
		return nil, &Refusal{Code: CodePath}
	}
	base, err := a.baseURL(stored, c)
	if err != nil {
		return nil, err
	}
	out := &url.URL{Scheme: base.Scheme, Host: base.Host, RawQuery: in.RawQuery, ForceQuery: in.ForceQuery}
	if rawpath.Set(out, rawpath.Join(base.Path, rest)) != nil {
		return nil, &Refusal{Code: CodePath}
	}
	return out, nil
}

func (a *API) baseURL(stored map[string]string, c Controls) (template.URL, error) {
	if c.override != "" {
		return a.override(c.override)
	}
	return a.base.Expand(stored, c.Variables)
}

// isQuery reports whether a query can stand in a request line.
func isQuery(raw string) bool {
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// override reads a base URL of a request's own. Variables are not for it: its
// host is one that is written in the config.
func (a *API) override(raw string) (template.URL, error) {
	invalid := &Refusal{CodeOverride, canonical(overrideField)}
	const scheme = "https://"
	if len(raw) < len(scheme) || !strings.EqualFold(raw[:len(scheme)], scheme) {
		return template.URL{}, invalid
	}
	// it is read as the config's is, but no variable has a value
	parsed, err := template.Parse(scheme+raw[len(scheme):], nil)
	if err != nil || parsed.HasQuery() {
		return template.URL{}, invalid
	}
	u, err := parsed.Expand(nil, nil)
	if err != nil {
		return template.URL{}, invalid
	}
	host, ok := parseAuthority(u.Host)
	if !ok {
		return template.URL{}, invalid
	}
	if !a.allowed[host] {
		return template.URL{}, &Refusal{CodeNotAllowed, canonical(overrideField)}
	}
	return u, nil
}

// parseAuthority returns a host and port in the spelling that is compared.
func parseAuthority(raw string) (hostport string, ok bool) {
	parsed, err := template.Parse("https://"+raw, nil)
	if err != nil || strings.ContainsAny(raw, "/?") {
		return "", false
	}
	u, err := parsed.Expand(nil, nil)
	if err != nil {
		return "", false
	}
	read := url.URL{Host: u.Host}
	host, port := read.Hostname(), read.Port()
	if port == "" {
		port = "443"
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.String() // of many spellings
	}
	return host + " " + port, true
}
