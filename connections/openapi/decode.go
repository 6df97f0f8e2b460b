package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// What a document may have. The largest public ones have a few hundred thousand
// parts.
const (
	MaxDocument = 32 << 20 // bytes
	maxDepth    = 128
	maxParts    = 1 << 20
)

// decode reads JSON or YAML. A library's panic is an error.
func decode(data []byte) (root *node, err error) {
	defer func() {
		if recover() != nil {
			root, err = nil, &Error{Reason: "the document cannot be read"}
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(data) > MaxDocument {
		return nil, &Error{Reason: fmt.Sprintf("the document is larger than %d MiB", MaxDocument>>20)}
	}
	// parts are made of all of these before they are counted
	marks := 0
	for _, c := range []byte(",:[{-?") {
		marks += bytes.Count(data, []byte{c})
	}
	if marks > 2*maxParts {
		return nil, errParts
	}
	start := bytes.TrimLeft(data, " \t\r\n")
	if len(start) == 0 {
		return nil, errEmpty
	}
	if start[0] != '{' || !json.Valid(data) {
		// what is wrong with JSON, its own parser says best
		if root, err = decodeYAML(data); err == nil || start[0] != '{' {
			return root, err
		}
	}
	return decodeJSON(data)
}

var (
	errEmpty = &Error{Reason: "the document is empty"}
	errParts = &Error{Reason: "the document has too many parts"}
)

// builder counts what a document is made of.
type builder struct{ parts int }

func (b *builder) node(s shape, line, depth int) (*node, error) {
	if b.parts++; b.parts > maxParts {
		return nil, errParts
	}
	if depth > maxDepth {
		return nil, &Error{line, fmt.Sprintf("the document is nested deeper than %d levels", maxDepth)}
	}
	return &node{shape: s, line: line}, nil
}
