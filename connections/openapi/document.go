package openapi

import (
	"mime"
	"slices"
	"strings"
)

// Document is what calls are checked against. Of what was read it has no more
// than that needs. It can be used by several goroutines.
type Document struct {
	paths      []*path     // in the order in which they are asked
	operations []Operation // in the document's
	schemas    *schemas
}

type path struct {
	template   string
	pattern    pattern
	operations map[string]*operation // by method, in upper case
}

type operation struct {
	id         string
	elsewhere  bool // it is on a server of its own
	parameters []parameter
	body       *requestBody
	responses  []response
}

type requestBody struct {
	required bool
	content  []media
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

const maxName = 256 // bytes, of what is named in differences

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
	r := reader{newConverter(s), make(map[*node]*operation), make(map[*node][]media)}
	d := &Document{schemas: r.schemas}
	var current *path
	s.operations(func(template string, item *node, method string, n *node) {
		if current == nil || template != current.template {
			current = &path{template: template, operations: make(map[string]*operation)}
			if current.pattern, _ = newPattern(template); current.pattern != nil {
				d.paths = append(d.paths, current)
			} else {
				s.addAt(n, Warning, "A path is left out: its braces are not in pairs.", shown(template))
			}
		}
		made := r.operation(item, n)
		method = strings.ToUpper(method)
		current.operations[method] = made
		if current.pattern != nil {
			d.operations = append(d.operations, Operation{made.id, method, template, made})
		}
	})
	switch {
	case r.tooMany:
		return nil, &Error{Reason: "the schemas of the document are too many"}
	case len(d.paths) == 0:
		s.addAt(s.root.get("paths"), Warning, "The document has no operations: no call can be checked.")
	}
	slices.SortStableFunc(d.paths, func(a, b *path) int { return comparePatterns(a.pattern, b.pattern) })
	return d, nil
}

// reader makes one thing of a part, however many references lead there.
type reader struct {
	*converter
	operations map[*node]*operation
	contents   map[*node][]media
}

func (r reader) operation(item, n *node) *operation {
	if made, ok := r.operations[n]; ok {
		return made
	}
	o := &operation{id: n.get("operationId").text(), elsewhere: item.get("servers") != nil || n.get("servers") != nil}
	o.id = strings.ToValidUTF8(o.id[:min(len(o.id), maxName)], "")
	for _, p := range r.parameters(item, n) {
		if len(p.name) <= maxName && !(p.in == "header" && isDescribedElsewhere(p.name)) {
			o.parameters = append(o.parameters, p)
		}
	}
	if body := r.resolve(n.get("requestBody")); body != nil {
		o.body = &requestBody{body.get("required").isTrue(), r.content(body, false)}
	}
	for _, m := range n.get("responses").all() {
		if isStatus(m.name) {
			o.responses = append(o.responses, response{strings.ToUpper(m.name), r.content(r.resolve(m.value), true)})
		}
	}
	r.operations[n] = o
	return o
}

// content are the media types of a request body or a response. The schemas of
// requests are not kept.
func (r reader) content(n *node, checked bool) []media {
	n = n.get("content")
	if made, ok := r.contents[n]; ok {
		return made
	}
	var found []media
	for _, m := range n.all() {
		made := media{mediaType: mediaType(m.name)}
		if schema := m.value.get("schema"); schema != nil && checked && isJSON(made.mediaType) {
			made.schema = r.add(schema)
		}
		found = append(found, made)
	}
	r.contents[n] = found
	return found
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
