// Package template puts the variables of a connection into the URL of an API:
//
//	https://{{subdomain}}.example.com/v2/{{account}}
//
// A value stays in the part of the URL that its variable stands in. In the host
// it is text of the labels there; in the path and in the query it is
// percent-encoded. No value changes the scheme, the port, or any part that is
// written out, or adds a part that the template doesn't have.
package template

import (
	"maps"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// Template is a URL with variables in it. It can be used by several goroutines.
type Template struct {
	scheme    string
	host      []piece // in lower case
	port      string  // with the colon, or ""
	path      []piece // escaped
	query     []piece
	hasQuery  bool
	variables map[string]*variable
}

// piece is text, or a variable.
type piece struct {
	text     string
	variable *variable
}

// URL is an expanded template, in the parts of a url.URL, whose parser sees none
// of it.
type URL struct {
	Scheme string
	Host   string // with the port, if it is written out
	Path   string // escaped
	Query  string // escaped
}

// Scheme returns the scheme, http or https: no variable can stand there.
func (t *Template) Scheme() string { return t.scheme }

// HasQuery reports whether the template has a query, if an empty one.
func (t *Template) HasQuery() bool { return t.hasQuery }

// Variables returns the names of the variables, sorted.
func (t *Template) Variables() []string { return slices.Sorted(maps.Keys(t.variables)) }

// Check reports why a value cannot be stored for a variable. The error is a
// *Refusal.
func (t *Template) Check(name, value string) error {
	v := t.variables[name]
	if v == nil {
		return refuse(CodeUnknown, name)
	}
	if !v.takes(value) {
		return refuse(CodeInvalid, name)
	}
	return nil
}

// Expand returns the URL with the values of a request, or else those that are
// stored, or else the defaults. The request may only have variables that are in
// the template and overridable; of what is stored, other variables are left out,
// because the template may have changed since. The error is a *Refusal.
func (t *Template) Expand(stored, request map[string]string) (URL, error) {
	for _, name := range slices.Sorted(maps.Keys(request)) {
		switch v := t.variables[name]; {
		case v == nil:
			return URL{}, refuse(CodeUnknown, name)
		case !v.overridable:
			return URL{}, refuse(CodeFixed, name)
		}
	}
	values := values{stored, request}
	u := URL{Scheme: t.scheme}
	var err error
	if u.Host, err = values.fill(t.host, plain); err != nil {
		return URL{}, err
	}
	if first := firstVariable(t.host); first != nil && !isExpandedHost(u.Host) {
		return URL{}, refuse(CodeInvalid, first.name)
	}
	u.Host += t.port
	if u.Path, err = values.fill(t.path, encode); err != nil {
		return URL{}, err
	}
	if first := firstVariable(t.path); first != nil && rawpath.Check(u.Path) != nil {
		return URL{}, refuse(CodeInvalid, first.name)
	}
	if u.Query, err = values.fill(t.query, encode); err != nil {
		return URL{}, err
	}
	return u, nil
}

func firstVariable(pieces []piece) *variable {
	for _, p := range pieces {
		if p.variable != nil {
			return p.variable
		}
	}
	return nil
}

// values are where the value of a variable comes from.
type values struct{ stored, request map[string]string }

// of returns the value of a variable, which is one that the variable takes.
func (vs values) of(v *variable) (string, error) {
	value, ok := vs.request[v.name]
	if !ok {
		value, ok = vs.stored[v.name]
	}
	if !ok {
		if v.fallback == "" {
			return "", refuse(CodeMissing, v.name)
		}
		return v.fallback, nil // checked when it was parsed
	}
	if !v.takes(value) {
		return "", refuse(CodeInvalid, v.name)
	}
	return value, nil
}

func (vs values) fill(pieces []piece, write func(string) string) (string, error) {
	switch len(pieces) {
	case 0:
		return "", nil
	case 1:
		if pieces[0].variable == nil {
			return pieces[0].text, nil
		}
	}
	var out strings.Builder
	for _, p := range pieces {
		text := p.text
		if p.variable != nil {
			value, err := vs.of(p.variable)
			if err != nil {
				return "", err
			}
			text = write(value)
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func plain(value string) string { return value }

// encode percent-encodes all that RFC 3986 doesn't call unreserved.
func encode(value string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(value) {
		if c := value[i]; isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
		} else {
			out.WriteByte('%')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		}
	}
	return out.String()
}
