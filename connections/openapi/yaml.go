package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlReader makes nodes of YAML. What an alias stands for is made anew, and
// counted, each time.
type yamlReader struct{ builder }

var yamlError = regexp.MustCompile(`(?s)^yaml: (?:line ([0-9]+): )?(.*)$`)

func decodeYAML(data []byte) (*node, error) {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, errEmpty
	}
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			return nil, &Error{second.Line, "there is more behind the end of the document"}
		}
	}
	if !errors.Is(err, io.EOF) {
		wrong := &Error{Reason: "this is neither YAML nor JSON"}
		if found := yamlError.FindStringSubmatch(err.Error()); found != nil {
			wrong.Line, _ = strconv.Atoi(found[1]) // 0 without one
			wrong.Reason = "this is not YAML: " + strings.Trim(shown(found[2]), `"`)
		}
		return nil, wrong
	}
	if len(document.Content) != 1 {
		return nil, errEmpty
	}
	return new(yamlReader).read(document.Content[0], 1)
}

func (r *yamlReader) read(from *yaml.Node, depth int) (*node, error) {
	shapes := map[yaml.Kind]shape{yaml.MappingNode: mapping, yaml.SequenceNode: sequence, yaml.AliasNode: scalar}
	n, err := r.node(shapes[from.Kind], from.Line, depth)
	if err != nil {
		return nil, err
	}
	switch from.Kind {
	case yaml.AliasNode: // one that is in what it stands for ends at the depth
		return r.read(from.Alias, depth+1)
	case yaml.MappingNode:
		return n, r.readMembers(n, from, depth)
	case yaml.SequenceNode:
		for _, item := range from.Content {
			child, err := r.read(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, child)
		}
	case yaml.ScalarNode:
		n.scalar = yamlScalar(from)
	}
	return n, nil
}

func (r *yamlReader) readMembers(n *node, from *yaml.Node, depth int) error {
	var merged []*yaml.Node
	for i := 0; i+1 < len(from.Content); i += 2 {
		name, value := from.Content[i], from.Content[i+1]
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		if name.Kind != yaml.ScalarNode {
			return &Error{name.Line, "the name of a member is no text"}
		}
		if name.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		child, err := r.read(value, depth+1)
		if err != nil {
			return err
		}
		child.line = name.Line
		if err := n.add(name.Value, child); err != nil { // of numbers too: 200 is a member of responses
			return err
		}
	}
	for _, value := range merged {
		if err := r.merge(n, value, depth); err != nil {
			return err
		}
	}
	return nil
}

// merge adds the members of another mapping, or of several, that a mapping
// doesn't have itself.
func (r *yamlReader) merge(n *node, from *yaml.Node, depth int) error {
	other, err := r.read(from, depth+1)
	if err != nil {
		return err
	}
	sources := other.items
	if other.shape == mapping {
		sources = []*node{other}
	}
	for _, source := range sources {
		for _, m := range source.members {
			if n.get(m.name) == nil {
				if err := n.add(m.name, m.value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// yamlScalar returns what a scalar would be in JSON. What JSON has no value for
// is a string.
func yamlScalar(from *yaml.Node) any {
	switch from.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(from.Value, "true")
	case "!!int":
		if json.Valid([]byte(from.Value)) {
			return json.Number(from.Value)
		}
		if number, err := strconv.ParseInt(from.Value, 0, 64); err == nil {
			return json.Number(strconv.FormatInt(number, 10))
		}
	case "!!float":
		if json.Valid([]byte(from.Value)) {
			return json.Number(from.Value)
		}
		if number, err := strconv.ParseFloat(from.Value, 64); err == nil && !math.IsInf(number, 0) && !math.IsNaN(number) {
			return json.Number(strconv.FormatFloat(number, 'g', -1, 64))
		}
	}
	return from.Value
}
