package openapi

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// MaxValue is how long the value of a parameter may be, in bytes.
const MaxValue = 1024

// maxTarget is how long what stands behind the base URL may be.
const maxTarget = 8 << 10

// Operation is one that a document has.
type Operation struct {
	ID     string // or "": it has none
	Method string
	Path   string // as in the document

	described *operation
}

// Operations returns those of a document, in its order.
func (d *Document) Operations() iter.Seq[Operation] { return slices.Values(d.operations) }

// Takes reports whether an operation has a parameter of that name in its path,
// query or header.
func (o Operation) Takes(name string) bool {
	return slices.ContainsFunc(o.described.parameters, func(p parameter) bool { return p.name == name && p.in != "cookie" })
}

// Request is what an operation is called with.
type Request struct {
	Path   string // relative to the base URL, escaped, with its first slash
	Query  string // escaped
	Header http.Header
}

// Why an operation cannot be called.
const (
	NoValue     = "parameter" // a parameter that it needs has no value
	NoBody      = "body"      // it needs a body
	OtherServer = "server"    // it is on a server of its own
	NoPath      = "path"      // its path can stand in no URL
)

// Obstacle says that an operation cannot be called.
type Obstacle struct {
	Reason    string
	Parameter string // with NoValue, its name
}

// Request makes a request without a body, of values by the names of parameters.
// One that is required and has none gets the document's example, or default. What
// is filled elsewhere, as by credentials, gets no value.
func (o Operation) Request(given map[string]string, filled func(in, name string) bool) (Request, *Obstacle) {
	switch {
	case o.described.elsewhere:
		return Request{}, &Obstacle{Reason: OtherServer}
	case o.described.body != nil && o.described.body.required:
		return Request{}, &Obstacle{Reason: NoBody}
	case strings.ContainsAny(o.Path, "?#"):
		return Request{}, &Obstacle{Reason: NoPath}
	}
	r := Request{Header: make(http.Header)}
	var query []string
	inPath := make(map[string]string)
	for _, p := range o.described.parameters {
		value, isGiven := given[p.name]
		needed := p.required || p.in == "path"
		if filled(p.in, p.name) || !needed && (!isGiven || p.in == "cookie") {
			continue
		}
		if !isGiven {
			value = p.example
		}
		if !p.isSent(value) {
			return Request{}, &Obstacle{NoValue, p.name}
		}
		switch p.in {
		case "path":
			inPath[p.name] = value
		case "query":
			query = append(query, escapeQuery(p.name)+"="+escapeQuery(value))
		case "header":
			r.Header[p.name] = []string{value}
		}
	}
	path, missing := expand(o.Path, inPath)
	if missing != "" {
		return Request{}, &Obstacle{NoValue, missing}
	}
	r.Path, r.Query = path, strings.Join(query, "&")
	if len(r.Path) == 0 || len(r.Path)+len(r.Query) > maxTarget {
		return Request{}, &Obstacle{Reason: NoPath}
	}
	return r, nil
}

// IsValue reports whether a text can be the value of a parameter.
func IsValue(text string) bool {
	return text != "" && len(text) <= MaxValue && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// isSent reports whether a parameter can be sent with a value.
func (p parameter) isSent(value string) bool {
	return IsValue(value) && (p.in == "path" || p.in == "query" || p.in == "header" && httpguts.ValidHeaderFieldName(p.name))
}

// expand puts values into a path whose braces are in pairs. A variable without
// one is missing; where that has no name, there is no path.
func expand(template string, values map[string]string) (path, missing string) {
	var b strings.Builder
	for {
		text, rest, open := strings.Cut(template, "{")
		b.WriteString(escapeText(text))
		if !open {
			return b.String(), ""
		}
		name, after, _ := strings.Cut(rest, "}")
		value := values[name]
		if value == "" {
			return "", name
		}
		b.WriteString(url.PathEscape(value))
		template = after
	}
}

// escapeText escapes what no URL can have in a path. What is escaped stays so.
func escapeText(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		_, err := url.PathUnescape(text[i:min(i+3, len(text))])
		if c == '%' && err == nil || c == '/' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// escapeQuery has no plus signs for spaces: not all servers read them so.
func escapeQuery(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// example returns a value that the document has for a parameter, or "".
func (s *source) example(parameter *node) string {
	schema := s.resolve(parameter.get("schema"))
	found := []*node{parameter.get("example")}
	if named := parameter.get("examples").all(); len(named) > 0 {
		found = append(found, s.resolve(named[0].value).get("value"))
	}
	found = append(found, schema.get("default"), schema.get("example"))
	if listed := schema.get("examples").elements(); len(listed) > 0 {
		found = append(found, listed[0])
	}
	for _, n := range found {
		if text := n.literal(); text != "" && len(text) <= MaxValue {
			return text
		}
	}
	return ""
}
