package openapi

import (
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const maxDifferences = 20

// Call is a request to the API, and its answer.
type Call struct {
	Method string
	Path   string // relative to the base URL, escaped, with its first slash
	Query  string // escaped
	Header []string
	Type   string // the Content-Type of the request, or "": it has no body

	Status       int
	ResponseType string
	Body         []byte // of the answer. One that is longer than MaxBody is not checked
}

// Result is what a document says of a call.
type Result struct {
	// Path is that of the operation, as in the document, or "": it has none.
	Path string `json:"path,omitempty"`

	// OperationID is the document's name for the operation, if it has one.
	OperationID string `json:"operation_id,omitempty"`

	Differences []Difference `json:"differences"`

	// More is whether there are more differences than the 20 that are told.
	More bool `json:"more,omitempty"`
}

// Difference is where a call differs from the document. It has places, types and
// keywords, but no value of a request or an answer, which may be a secret. The
// name of a property that the document doesn't have is told as *.
type Difference struct {
	// Where is request.path, request.method, request.query.<name>,
	// request.header.<name>, request.content_type, response.status,
	// response.content_type, or a place in the body of the answer, such as
	// response.body.items[0].id.
	Where string `json:"where"`

	// Rule is path, method, parameter, content_type, status, body, unchecked, or
	// the keyword of JSON Schema.
	Rule string `json:"rule"`

	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
}

// Check says which operation a call is, and how it differs from the document.
func (d *Document) Check(call Call) Result {
	p, o := d.find(call.Method, segments(call.Path))
	switch {
	case p == nil:
		return Result{Differences: []Difference{{"request.path", "path", "a path of the document", "another"}}}
	case o == nil:
		documented := strings.Join(slices.Sorted(maps.Keys(p.operations)), ", ")
		return Result{Path: p.template, Differences: []Difference{{"request.method", "method", documented, "another"}}}
	}
	found := o.checkRequest(call)
	found = append(found, d.checkResponse(o, call)...)
	result := Result{p.template, o.id, found, false}
	if len(found) > maxDifferences {
		result.Differences, result.More = found[:maxDifferences], true
	}
	return result
}

// find returns the path and the operation. Of the paths that match, the first
// with the method stands.
func (d *Document) find(method string, segments []string) (*path, *operation) {
	var first *path
	for _, p := range d.paths {
		if p.pattern.matches(segments) {
			if o := p.operations[method]; o != nil {
				return p, o
			}
			if first == nil {
				first = p
			}
		}
	}
	return first, nil
}

func (o *operation) checkRequest(call Call) []Difference {
	found := []Difference{}
	query, _ := url.ParseQuery(call.Query) // what can be read of it
	for _, p := range o.parameters {
		if !p.required || p.in != "query" && p.in != "header" {
			continue
		}
		has := query.Has(p.name) || slices.ContainsFunc(slices.Collect(maps.Keys(query)), func(name string) bool {
			return strings.HasPrefix(name, p.name+"[") // an object, or an array
		})
		if p.in == "header" {
			has = slices.ContainsFunc(call.Header, func(name string) bool { return textproto.CanonicalMIMEHeaderKey(name) == p.name })
		}
		if !has {
			found = append(found, Difference{"request." + p.in + "." + p.name, "parameter", "present", "missing"})
		}
	}
	const where = "request.content_type"
	var types []string
	if o.body != nil {
		types = typesOf(o.body.content)
	}
	switch got := mediaType(call.Type); {
	case o.body == nil && call.Type != "":
		found = append(found, Difference{where, "content_type", "no body", shownType(got)})
	case o.body == nil || call.Type == "" && !o.body.required:
	case call.Type == "":
		found = append(found, Difference{where, "content_type", shownTypes(types), "no body"})
	case len(types) > 0 && bestType(types, got) < 0:
		found = append(found, Difference{where, "content_type", shownTypes(types), shownType(got)})
	}
	return found
}

func (d *Document) checkResponse(o *operation, call Call) []Difference {
	r := o.responseFor(call.Status)
	if r == nil {
		var documented []string
		for _, other := range o.responses {
			documented = append(documented, other.status)
		}
		return []Difference{{"response.status", "status", strings.Join(documented[:min(len(documented), maxDifferences)], ", "), strconv.Itoa(call.Status)}}
	}
	if len(r.content) == 0 || call.Method == http.MethodHead {
		return nil
	}
	types := typesOf(r.content)
	got := mediaType(call.ResponseType)
	i := bestType(types, got)
	if i < 0 {
		return []Difference{{"response.content_type", "content_type", shownTypes(types), shownType(got)}}
	}
	if r.content[i].schema == "" || !isJSON(got) {
		return nil
	}
	return d.schemas.check(r.content[i].schema, call.Body)
}

func (s *schemas) check(schema string, body []byte) []Difference {
	unchecked := []Difference{{Where: "response.body", Rule: "unchecked", Got: "too large, or too intricate"}}
	if len(body) > MaxBody {
		return unchecked
	}
	decoded, isJSON, ok := decodeBody(body)
	if !isJSON {
		return []Difference{{"response.body", "body", "JSON", "something else"}}
	}
	if !ok {
		return unchecked
	}
	wrong, err := s.violations(schema, decoded)
	if err != nil {
		return unchecked
	}
	if wrong == nil {
		return nil
	}
	found := s.differences(wrong, decoded, nil)
	sortDifferences(found)
	return slices.Compact(found)
}

// responseFor returns the response for a status: its own, or that of its range,
// or the default.
func (o *operation) responseFor(status int) *response {
	own := strconv.Itoa(status)
	for _, name := range []string{own, own[:1] + "XX", "DEFAULT"} {
		for i := range o.responses {
			if o.responses[i].status == name {
				return &o.responses[i]
			}
		}
	}
	return nil
}

func typesOf(content []media) []string {
	types := make([]string, len(content))
	for i, m := range content {
		types[i] = m.mediaType
	}
	return types
}

// bestType returns the index of the media type, or range of them, that fits
// best, or -1.
func bestType(types []string, got string) int {
	kind, _, _ := strings.Cut(got, "/")
	for _, name := range []string{got, kind + "/*", "*/*"} {
		if i := slices.Index(types, name); i >= 0 && got != "" {
			return i
		}
	}
	return -1
}

// common are the media types that are told as they are.
var common = []string{
	"application/json", "application/octet-stream", "application/pdf", "application/problem+json", "application/x-www-form-urlencoded", "application/xml",
	"application/zip", "multipart/form-data", "text/csv", "text/html", "text/javascript", "text/json", "text/plain", "text/xml",
}

// shownType tells a media type of a call, but for words that could be anything.
func shownType(mediaType string) string {
	if mediaType == "" {
		return "none"
	}
	if slices.Contains(common, mediaType) {
		return mediaType
	}
	kind, _, _ := strings.Cut(mediaType, "/")
	if !slices.Contains([]string{"application", "audio", "font", "image", "message", "model", "multipart", "text", "video"}, kind) {
		return "another"
	}
	for _, suffix := range []string{"+json", "+xml"} {
		if strings.HasSuffix(mediaType, suffix) {
			return kind + "/*" + suffix
		}
	}
	return kind + "/*"
}

func shownTypes(types []string) string {
	return strings.Join(types[:min(len(types), maxDifferences)], ", ")
}
