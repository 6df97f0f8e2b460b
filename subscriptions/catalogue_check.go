package subscriptions

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// What data may have that is checked against a schema. A schema that refers to
// itself is applied as deep as the data goes, and numbers are compared with all
// their digits.
const (
	maxDataDepth    = 64
	maxNumber       = 64  // characters
	maxExponent     = 308 // as in a float64
	maxToldLocation = 256 // bytes
)

// check says what is wrong with the data of an event of this type. It names
// where and by which rule, never the value.
func (t *EventType) check(data json.RawMessage) *refusal {
	if t.compiled == nil {
		return nil
	}
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil || !checkable(decoded, 1) {
		return errEventDataUncheckable
	}
	wrong, ok := errors.AsType[*jsonschema.ValidationError](t.compiled.Validate(decoded))
	if !ok {
		return nil
	}
	found := violations(wrong, nil)
	first := slices.MinFunc(found, func(a, b violation) int { // properties are checked in any order
		return cmp.Or(strings.Compare(a.location, b.location), strings.Compare(a.keyword, b.keyword))
	})
	return invalid(errEventData.Code, "The event's data at '"+shorten(first.location)+
		"' is not what the schema of its type says: "+first.keyword+".")
}

// checkable reports whether a JSON value can be checked in a bounded time.
func checkable(decoded any, depth int) bool {
	if depth > maxDataDepth {
		return false
	}
	switch value := decoded.(type) {
	case map[string]any:
		for _, member := range value {
			if !checkable(member, depth+1) {
				return false
			}
		}
	case []any:
		for _, element := range value {
			if !checkable(element, depth+1) {
				return false
			}
		}
	case json.Number:
		return checkableNumber(string(value))
	}
	return true
}

func checkableNumber(number string) bool {
	if len(number) > maxNumber {
		return false
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.Atoi(number[at+1:])
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}

// violation is a keyword of a schema that a value does not satisfy.
type violation struct {
	location string // a JSON pointer
	keyword  string
}

// violations returns what an error is made of. The alternatives of an anyOf are
// not told: each of them would be misleading.
func violations(wrong *jsonschema.ValidationError, found []violation) []violation {
	switch wrong.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range wrong.Causes {
			found = violations(cause, found)
		}
		return found
	}
	keyword := "false" // the schema that nothing satisfies has none
	if path := wrong.ErrorKind.KeywordPath(); len(path) > 0 {
		keyword = path[0]
	}
	return append(found, violation{pointer(wrong.InstanceLocation), keyword})
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		_, _ = pointerEscapes.WriteString(&b, token) // a strings.Builder does not fail
	}
	return b.String()
}

func shorten(location string) string {
	if len(location) <= maxToldLocation {
		return location
	}
	return strings.ToValidUTF8(location[:maxToldLocation], "") + "…"
}
