package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// differences makes differences of what an error is made of. The alternatives of
// an anyOf are not told: each of them would be misleading.
func (s *schemas) differences(wrong *jsonschema.ValidationError, body any, found []Difference) []Difference {
	if len(found) > maxDifferences {
		return found
	}
	where := s.where(wrong.InstanceLocation, body)
	switch rule := wrong.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range wrong.Causes {
			found = s.differences(cause, body, found)
		}
		return found
	case *kind.Type:
		return append(found, Difference{where, "type", strings.Join(rule.Want, " or "), rule.Got})
	case *kind.Required:
		for _, name := range rule.Missing {
			if len(found) <= maxDifferences {
				found = append(found, Difference{where + s.member(name), "required", "present", "missing"})
			}
		}
		return found
	case *kind.AdditionalProperties:
		for _, name := range rule.Properties {
			if len(found) <= maxDifferences {
				found = append(found, Difference{where + s.member(name), "additionalProperties", "absent", "present"})
			}
		}
		return found
	case *kind.RefCycle:
		return found
	}
	name := "false" // the schema that nothing satisfies has none
	if path := wrong.ErrorKind.KeywordPath(); len(path) > 0 {
		name = path[0]
	}
	return append(found, Difference{Where: where, Rule: name})
}

// where is the place of a value in a body.
func (s *schemas) where(location []string, body any) string {
	var b strings.Builder
	b.WriteString("response.body")
	for _, token := range location {
		switch value := body.(type) {
		case []any:
			fmt.Fprintf(&b, "[%s]", token)
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(value) {
				body = value[i]
			}
		case map[string]any:
			b.WriteString(s.member(token))
			body = value[token]
		}
	}
	return b.String()
}

var plainName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]*$`)

// member is a step to a property. A name that the document doesn't have may be a
// value, and so is not told.
func (s *schemas) member(name string) string {
	switch {
	case !s.names[name]:
		return ".*"
	case plainName.MatchString(name):
		return "." + name
	}
	return "[" + strconv.Quote(name) + "]"
}

func sortDifferences(found []Difference) {
	slices.SortFunc(found, func(a, b Difference) int { // properties are checked in any order
		return strings.Compare(a.Where+"\x00"+a.Rule, b.Where+"\x00"+b.Rule)
	})
}
