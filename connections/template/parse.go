package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

const (
	maxTemplate  = 2048
	maxVariables = 32
)

// SyntaxError says where a template is none.
type SyntaxError struct {
	Position int // of the byte that is wrong, from 1
	Reason   string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("character %d: %s", e.Position, e.Reason) }

// Parse reads a template: an absolute http or https URL with a host, without a
// user, password or fragment. Variables are {{name}}, in the host, the path or
// the query. Those that the config says nothing of are as the zero Variable;
// those that it has and the template hasn't are an error.
func Parse(raw string, config map[string]Variable) (*Template, error) {
	p := &parser{raw: raw, config: config, template: &Template{variables: make(map[string]*variable)}}
	if err := p.parse(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		switch v := p.template.variables[name]; {
		case v == nil:
			return nil, fmt.Errorf("variable %q is not in the URL", name)
		case v.fallback != "" && !v.takes(v.fallback):
			return nil, fmt.Errorf("variable %q: its default is not a value that it takes", name)
		}
	}
	// what the defaults make together, where they are all that is needed
	var refusal *Refusal
	if _, err := p.template.Expand(nil, nil); errors.As(err, &refusal) && refusal.Code != CodeMissing {
		return nil, fmt.Errorf("variable %q: its default does not fit into the URL", refusal.Variable)
	}
	return p.template, nil
}

type parser struct {
	raw      string
	at       int // what is read of raw
	config   map[string]Variable
	template *Template
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &SyntaxError{at + 1, fmt.Sprintf(format, args...)}
}

func (p *parser) parse() error {
	if len(p.raw) > maxTemplate {
		return p.fail(maxTemplate, "the URL is too long")
	}
	if err := p.checkCharacters(); err != nil {
		return err
	}
	t := p.template
	scheme, _, ok := strings.Cut(p.raw, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return p.fail(0, "the URL must begin with https:// or http://")
	}
	t.scheme, p.at = scheme, len(scheme)+len("://")

	authority, behind := p.until("/?")
	if err := p.parseAuthority(authority); err != nil {
		return err
	}
	p.at = behind
	path, behind := p.until("?")
	var err error
	if t.path, err = p.pieces(path, inPath); err != nil {
		return err
	}
	if rawpath.Check(filled(t.path)) != nil {
		return p.fail(p.at, "the path has dot segments, or encoded characters that no path may have")
	}
	if t.hasQuery = behind < len(p.raw); t.hasQuery {
		p.at = behind + 1
		t.query, err = p.pieces(p.raw[p.at:], inQuery)
	}
	return err
}

// until returns what comes before one of the delimiters, and where that stands.
func (p *parser) until(delimiters string) (text string, behind int) {
	text = p.raw[p.at:]
	if i := strings.IndexAny(text, delimiters); i >= 0 {
		text = text[:i]
	}
	return text, p.at + len(text)
}

// checkCharacters refuses what is in no URL, or in no template's.
func (p *parser) checkCharacters() error {
	for i := range len(p.raw) {
		switch c := p.raw[i]; {
		case c <= ' ' || c >= 0x7f:
			return p.fail(i, "this character must be percent-encoded; in a host, write its ASCII form (xn--)")
		case c == '#':
			return p.fail(i, "the URL must not have a fragment")
		case strings.IndexByte("\\\"<>^`|", c) >= 0:
			return p.fail(i, "%q must be percent-encoded", c)
		case c == '%' && !isEscape(p.raw[i:]):
			return p.fail(i, "this percent sign begins no escape")
		}
	}
	return nil
}

func isEscape(text string) bool {
	return len(text) >= 3 && strings.Trim(text[1:3], "0123456789abcdefABCDEF") == ""
}

func (p *parser) parseAuthority(authority string) error {
	if i := strings.IndexByte(authority, '@'); i >= 0 {
		return p.fail(p.at+i, "the URL must not have a user or password")
	}
	if i := strings.IndexByte(authority, '%'); i >= 0 {
		return p.fail(p.at+i, "a host has no escapes")
	}
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
		if !isPort(port) {
			return p.fail(p.at+i+1, "the port must be a number from 1 to 65535")
		}
		p.template.port = ":" + port
	}
	var err error
	if p.template.host, err = p.pieces(host, inHost); err != nil {
		return err
	}
	if err := checkHost(p.template.host); err != nil {
		return p.fail(p.at, "%v", err)
	}
	return nil
}

// pieces splits a part of the URL, which stands where the parser is.
func (p *parser) pieces(text string, where place) ([]piece, error) {
	var pieces []piece
	for at := p.at; text != ""; {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			i = len(text)
		}
		if i > 0 {
			written := text[:i]
			if where == inHost {
				written = strings.ToLower(written)
			}
			pieces = append(pieces, piece{text: written})
			text, at = text[i:], at+i
			continue
		}
		name, rest, closed := strings.Cut(strings.TrimPrefix(text, "{{"), "}}")
		if !strings.HasPrefix(text, "{{") || !closed {
			return nil, p.fail(at, "a variable is written {{name}}; other braces must be percent-encoded")
		}
		v, err := p.variable(name)
		if err != nil {
			return nil, p.fail(at, "%v", err)
		}
		v.standsIn[where] = true
		pieces = append(pieces, piece{variable: v})
		at += len(text) - len(rest)
		text = rest
	}
	return pieces, nil
}

func (p *parser) variable(name string) (*variable, error) {
	if !IsName(name) {
		return nil, fmt.Errorf("a variable's name has 1 to %d letters, digits, '_' or '-', and begins with a letter", maxName)
	}
	known := p.template.variables
	if known[name] == nil {
		if len(known) == maxVariables {
			return nil, fmt.Errorf("there are more than %d variables", maxVariables)
		}
		v, err := newVariable(name, p.config[name])
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		known[name] = v
	}
	return known[name], nil
}

// IsName reports whether a variable can have this name.
func IsName(name string) bool {
	if name == "" || len(name) > maxName || !isAlphanumeric(name[0]) || '0' <= name[0] && name[0] <= '9' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// filled puts a text that does no harm for the variables.
func filled(pieces []piece) string {
	var out strings.Builder
	for _, p := range pieces {
		if p.variable != nil {
			out.WriteByte('x')
		}
		out.WriteString(p.text)
	}
	return out.String()
}

// Interface guards
var (
	_ error = (*SyntaxError)(nil)
	_ error = (*Refusal)(nil)
)
