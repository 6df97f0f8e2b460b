// Package filter says whether an event's data is what a subscriber wants to
// hear of. A filter is a JSON object of paths in the data and the values that
// they may have there:
//
//	{"status": ["done", "closed"], "assignee.id": 42, "parent": null}
//
// All of its members must match; of an array's values, one. Values are
// strings, numbers, true, false and null.
package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a filter.
const (
	MaxSize     = 4 << 10 // bytes, without the space between tokens
	MaxMembers  = 16
	MaxPath     = 128 // characters
	MaxSegments = 8
	MaxValues   = 16 // of one member

	// MaxElements is how many elements of arrays are looked at for one member:
	// thousands of filters may have to be matched before an event is published.
	MaxElements = 1000
)

// Filter is a parsed filter. It matches all of its members.
type Filter struct {
	text    string
	members []member
}

// member is a path and the values that it may lead to.
type member struct {
	path   []string
	values []value
}

// Parse reads a filter. Its errors are for whoever wrote it.
func Parse(encoded []byte) (*Filter, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, encoded); err != nil || compact.Bytes()[0] != '{' || !utf8.Valid(encoded) {
		return nil, errors.New("the filter is not a JSON object")
	}
	if compact.Len() > MaxSize {
		return nil, errors.New("the filter is larger than 4 KiB")
	}
	f := &Filter{text: compact.String()}
	decoder := json.NewDecoder(&compact)
	decoder.UseNumber()
	_, _ = decoder.Token() // the brace; what follows is valid JSON
	for decoder.More() {
		name, _ := decoder.Token()
		var wanted any
		if err := decoder.Decode(&wanted); err != nil {
			return nil, errors.New("the filter is not a JSON object")
		}
		if err := f.add(name.(string), wanted); err != nil {
			return nil, err
		}
	}
	if len(f.members) == 0 || len(f.members) > MaxMembers {
		return nil, errors.New("the filter does not have 1 to 16 members")
	}
	return f, nil
}

func (f *Filter) add(name string, wanted any) error {
	m := member{path: strings.Split(name, ".")}
	if utf8.RuneCountInString(name) > MaxPath || len(m.path) > MaxSegments || slices.Contains(m.path, "") {
		return errors.New("a path of the filter is not 1 to 8 names with dots between them, at most 128 characters")
	}
	for _, other := range f.members {
		if slices.Equal(other.path, m.path) {
			return errors.New("a path stands in the filter twice")
		}
	}
	list, isList := wanted.([]any)
	if !isList {
		list = []any{wanted}
	}
	if len(list) == 0 || len(list) > MaxValues {
		return errors.New("an array of the filter does not have 1 to 16 values")
	}
	for _, one := range list {
		v, ok := scalar(one)
		if !ok {
			return errors.New("a value of the filter is neither a text, a number, true, false or null, nor an array of those")
		}
		m.values = append(m.values, v)
	}
	f.members = append(f.members, m)
	return nil
}

// String returns the filter as JSON without space between tokens.
func (f *Filter) String() string { return f.text }

// Data is an event's data, parsed for any number of filters: objects, arrays and
// values.
type Data struct{ root any }

// ParseData reads a JSON value.
func ParseData(encoded []byte) (Data, error) {
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber() // a float64 cannot tell 2^53 from 2^53+1
	var decoded any
	err := decoder.Decode(&decoded)
	return Data{canonical(decoded)}, err
}

// canonical makes values of what is neither an object nor an array, once for all
// filters. What cannot be compared is nobody's value.
func canonical(decoded any) any {
	switch v := decoded.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = canonical(member)
		}
	case []any:
		for i, element := range v {
			v[i] = canonical(element)
		}
	default:
		if found, ok := scalar(v); ok {
			return found
		}
	}
	return decoded
}

// Match reports whether the data has what the filter wants.
func (f *Filter) Match(d Data) bool {
	for _, m := range f.members {
		elements := MaxElements
		if !m.matches(d.root, m.path, &elements) {
			return false
		}
	}
	return true
}

// matches looks for the rest of a path in a part of the data. What is not there
// is like null. Of an array, one element is enough; of all arrays, so many are
// looked at as are left.
func (m *member) matches(at any, path []string, elements *int) bool {
	if list, isList := at.([]any); isList {
		return slices.ContainsFunc(list, func(element any) bool {
			*elements--
			return *elements >= 0 && m.matches(element, path, elements)
		})
	}
	if len(path) > 0 {
		if object, isObject := at.(map[string]any); isObject {
			return m.matches(object[path[0]], path[1:], elements)
		}
		at = nil
	}
	if at == nil {
		at = value{} // null
	}
	found, ok := at.(value)
	return ok && slices.Contains(m.values, found)
}
