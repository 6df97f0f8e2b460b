package openapi

import (
	"net/textproto"
	"slices"
	"strings"
)

// methods are those of a path item in OpenAPI 3.0 and 3.1.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// What a document may have of each, since references make many of one.
const (
	maxOperations = 10_000
	maxParameters = 100 // of an operation
	maxPath       = 2048
)

// operations calls a function for each operation, in the document's order. Of
// too many, it leaves out the last.
func (s *source) operations(visit func(path string, item *node, method string, operation *node)) {
	visited := 0
	for _, p := range s.root.get("paths").all() {
		if !strings.HasPrefix(p.name, "/") {
			if !strings.HasPrefix(p.name, "x-") {
				s.addAt(p.value, Warning, "A path is left out: it does not begin with a slash.", shown(p.name))
			}
			continue
		}
		if len(p.name) > maxPath {
			s.addAt(p.value, Warning, "A path is left out: it is too long.", shown(p.name))
			continue
		}
		item := s.resolve(p.value)
		for _, m := range item.all() {
			if slices.Contains(methods, m.name) && m.value.is(mapping) {
				if visited++; visited > maxOperations {
					s.addAt(m.value, Warning, "The document has too many operations: this one, and what follows, is left out.")
					return
				}
				visit(p.name, item, m.name, m.value)
			}
		}
	}
}

// parameter is one of an operation.
type parameter struct {
	in, name string // as in the document; the names of headers in canonical form
	required bool
	example  string // or default, or ""
}

// parameters returns those of an operation and of its path.
func (s *source) parameters(item, operation *node) []parameter {
	var found []parameter
	own, shared := operation.get("parameters").elements(), item.get("parameters").elements()
	if len(own)+len(shared) > maxParameters {
		s.addAt(operation, Warning, "An operation has too many parameters: the last of them are left out.")
		own = own[:min(len(own), maxParameters)]
		shared = shared[:min(len(shared), maxParameters-len(own))]
	}
	for _, n := range slices.Concat(own, shared) {
		n = s.resolve(n)
		p := parameter{n.get("in").text(), n.get("name").text(), n.get("required").isTrue(), s.example(n)}
		if p.in == "header" {
			p.name = textproto.CanonicalMIMEHeaderKey(p.name)
		}
		same := func(other parameter) bool { return other.in == p.in && other.name == p.name }
		if p.name != "" && !slices.ContainsFunc(found, same) { // an operation's own stand before
			found = append(found, p)
		}
	}
	return found
}
