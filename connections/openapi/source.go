package openapi

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// source is a document as it is read, and what is to be said of it.
type source struct {
	messages
	root *node
	is30 bool // OpenAPI 3.0, whose schemas are not quite JSON Schema
}

var version = regexp.MustCompile(`^3\.([01])(\.[0-9]+)?(-.*)?$`)

func read(data []byte) (*source, error) {
	root, err := decode(data)
	if err != nil {
		return nil, err
	}
	named := root.get("openapi")
	found := version.FindStringSubmatch(named.literal())
	switch {
	case !root.is(mapping):
		return nil, &Error{root.line, "this is no OpenAPI document"}
	case root.get("swagger") != nil:
		return nil, &Error{root.get("swagger").line, "this is Swagger 2; what is read is OpenAPI 3.0 and 3.1"}
	case named == nil:
		return nil, &Error{root.line, "this is no OpenAPI document: it has no member openapi with the version"}
	case found == nil:
		return nil, &Error{named.line, fmt.Sprintf("this is OpenAPI %s; what is read is 3.0 and 3.1", shown(named.literal()))}
	}
	return &source{root: root, is30: found[1] == "0"}, nil
}

const (
	maxReferences = 16 // to one part, one behind the other
	maxReference  = 1024
)

// resolve returns what a reference leads to, or the part itself, which is none.
// References lead into the document; no other one is fetched.
func (s *source) resolve(n *node) *node {
	for range maxReferences {
		ref := n.get("$ref")
		if ref == nil || !ref.is(scalar) {
			return n
		}
		if n = s.target(ref); n == nil {
			return nil
		}
	}
	s.addAt(n, Warning, "A reference leads nowhere but to references.")
	return nil
}

func (s *source) target(ref *node) *node {
	pointer, local := strings.CutPrefix(ref.text(), "#")
	if !local {
		s.addAt(ref, Warning, "A reference to another document is left out: no other document is read.", shown(ref.text()))
		return nil
	}
	if len(pointer) > maxReference {
		s.addAt(ref, Warning, "A reference is left out: it is too long.", shown(ref.text()))
		return nil
	}
	n := s.root
	if pointer != "" {
		for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
			if n = n.child(token); n == nil {
				s.addAt(ref, Warning, "A reference leads to a part that is not there.", shown(ref.text()))
				return nil
			}
		}
	}
	return n
}

var pointerEscapes = strings.NewReplacer("~1", "/", "~0", "~")

// child returns the part that a token of a JSON pointer, in a URL, names.
func (n *node) child(token string) *node {
	if decoded, err := url.PathUnescape(token); err == nil {
		token = decoded
	}
	token = pointerEscapes.Replace(token)
	if n.is(sequence) {
		i, err := strconv.Atoi(token)
		if err != nil || i < 0 || i >= len(n.items) {
			return nil
		}
		return n.items[i]
	}
	return n.get(token)
}
