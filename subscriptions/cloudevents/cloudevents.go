// Package cloudevents reads CloudEvents 1.0 as the HTTP protocol binding and the
// JSON event format have them.
package cloudevents

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The media types of structured and batched content.
const (
	StructuredType = "application/cloudevents+json"
	BatchType      = "application/cloudevents-batch+json"
)

// Errors of events that a receiver cannot take. An AttributeError is another.
var (
	ErrSpecVersion = errors.New("cloudevents: the specversion is not 1.0")
	ErrBinaryData  = errors.New("cloudevents: the data is binary")
	ErrNotObject   = errors.New("cloudevents: the event is not a JSON object")
)

// AttributeError is the error of an attribute that is missing, or is not what it
// has to be.
type AttributeError struct {
	Name    string
	Missing bool
}

// Error implements error.
func (e *AttributeError) Error() string {
	return "cloudevents: the attribute " + e.Name + " is not valid"
}

// Event is an event's attributes, as far as they have a use here, and its data.
type Event struct {
	ID     string
	Source string
	Type   string

	Subject      string // "" where there is none, as of those below
	ResourceType string // an extension
	AccountID    string // an extension
	TraceParent  string // of the extension for distributed tracing

	Data json.RawMessage // nil where there is none
}

// read reads the attributes of an event. Get returns one of them, and whether it
// is there.
func read(get func(name string) (value string, given bool, err error)) (Event, error) {
	var e Event
	var version string
	for _, attribute := range []struct {
		name     string
		required bool
		value    *string
	}{
		{"specversion", true, &version},
		{"id", true, &e.ID},
		{"source", true, &e.Source},
		{"type", true, &e.Type},
		{"subject", false, &e.Subject},
		{"resourcetype", false, &e.ResourceType},
		{"accountid", false, &e.AccountID},
		{"traceparent", false, &e.TraceParent},
	} {
		value, given, err := get(attribute.name)
		switch {
		case err != nil:
			return e, err
		case !given && !attribute.required:
			continue
		case !given:
			return e, &AttributeError{Name: attribute.name, Missing: true}
		case value == "" || !validText(value):
			return e, &AttributeError{Name: attribute.name}
		}
		*attribute.value = value
	}
	if version != "1.0" {
		return e, ErrSpecVersion
	}
	return e, nil
}

// validText reports whether a text may be an attribute's value.
func validText(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe // which are no characters
	}) < 0
}
