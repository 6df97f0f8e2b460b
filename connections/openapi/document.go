package openapi

import (
	"fmt"
	"mime"
	"slices"
	"strings"
)

// Document is what calls are checked against. Of what was read it has no more
// than that needs. It can be used by several goroutines.
type Document struct {
	paths   []*path // in the order in which they are asked
	schemas *schemas
}

type path struct {
	template   string
	pattern    pattern
	operations map[string]*operation // by method, in upper case
}

type operation struct {
	id        string
	required  []parameter // of the query and the header
	body      *requestBody
	responses []response
}

type requestBody struct {
	required bool
	types    []string
}

type response struct {
	status  string // 200, 2XX or default
	content []media
}

// media is a body of one media type, or of a range of them.
type media struct {
	mediaType string
	schema    string // in schemas, or "": there is none
}

const (
	maxOperations = 10_000
	maxName       = 256 // bytes, of what is named in differences
)

// Parse reads a document, in JSON or YAML, to check calls against it. It has no
// other document read, takes a bounded time, and never panics. The error is an
// *Error.
func Parse(data []byte) (*Document, []Message, error) {
	s, err := read(data)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.document()
	if err != nil {
		return nil, nil, err
	}
	return d, s.list, nil
}

func (s *source) document() (*Document, error) {
	converter := newConverter(s)
	d := &Document{schemas: converter.schemas}
	var current *path
	count, last := 0, ""
	s.operations(func(template string, item *node, method string, n *node) {
		if count++; count > maxOperations {
			return
		}
		if current == nil || template != last {
			last = template
			current = &path{template: template, operations: make(map[string]*operation)}
			var ok bool
			if current.pattern, ok = newPattern(template); ok {
				d.paths = append(d.paths, current)
			} else {
				s.addAt(n, Warning, "A path is left out: its braces are not in pairs.", shown(template))
			}
		}
		current.operations[strings.ToUpper(method)] = s.operation(converter, item, n)
	})
	switch {
	case count > maxOperations:
		return nil, &Error{s.root.get("paths").line, fmt.Sprintf("the document has more than %d operations", maxOperations)}
	case converter.tooMany:
		return nil, &Error{Reason: "the schemas of the document are too many"}
	case len(d.paths) == 0:
		s.addAt(s.root.get("paths"), Warning, "The document has no operations: no call can be checked.")
	}
	slices.SortStableFunc(d.paths, func(a, b *path) int { return comparePatterns(a.pattern, b.pattern) })
	return d, nil
}

func (s *source) operation(converter *converter, item, n *node) *operation {
	o := &operation{id: n.get("operationId").text()}
	for _, p := range s.parameters(item, n) {
		if p.required && len(p.name) <= maxName && (p.in == "query" || p.in == "header" && !isDescribedElsewhere(p.name)) {
			o.required = append(o.required, p)
		}
	}
	if body := s.resolve(n.get("requestBody")); body != nil {
		o.body = &requestBody{required: body.get("required").isTrue()}
		for _, m := range body.get("content").all() {
			o.body.types = append(o.body.types, mediaType(m.name))
		}
	}
	for _, m := range n.get("responses").all() {
		if !isStatus(m.name) {
			continue
		}
		r := response{status: strings.ToUpper(m.name)}
		for _, c := range s.resolve(m.value).get("content").all() {
			found := media{mediaType: mediaType(c.name)}
			if schema := c.value.get("schema"); schema != nil && isJSON(found.mediaType) {
				found.schema = converter.add(schema)
			}
			r.content = append(r.content, found)
		}
		o.responses = append(o.responses, r)
	}
	return o
}

// isDescribedElsewhere are headers that are no parameters, though some documents
// have them.
func isDescribedElsewhere(name string) bool {
	return slices.Contains([]string{"Accept", "Authorization", "Content-Type"}, name)
}

func isStatus(name string) bool {
	if strings.EqualFold(name, "default") {
		return true
	}
	if len(name) != 3 || name[0] < '1' || name[0] > '5' {
		return false
	}
	return strings.EqualFold(name[1:], "XX") || strings.Trim(name[1:], "0123456789") == ""
}

// mediaType returns a media type without its parameters, in lower case. One that
// can't be read is "".
func mediaType(text string) string {
	name, _, err := mime.ParseMediaType(text)
	if err != nil || len(name) > maxName {
		return ""
	}
	return name
}

func isJSON(mediaType string) bool {
	return mediaType == "application/json" || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json") || strings.HasPrefix(mediaType, "*/") ||
		mediaType == "application/*"
}
