package cloudevents

import (
	"bytes"
	"encoding/json"

	"github.com/f737063d/caddy-connector/internal/strictjson"
)

// ParseJSON reads an event in the JSON event format.
func ParseJSON(encoded []byte) (Event, error) {
	members, err := strictjson.Object(encoded)
	if err != nil {
		return Event{}, ErrNotObject
	}
	event, err := read(func(name string) (string, bool, error) {
		value, given := members[name]
		if !given || string(value) == "null" {
			return "", false, nil
		}
		text, ok := scalar(value, name == "accountid")
		if !ok {
			return "", false, &AttributeError{Name: name}
		}
		return text, true, nil
	})
	if err != nil {
		return Event{}, err
	}
	if value, given := members["data_base64"]; given && string(value) != "null" {
		return Event{}, ErrBinaryData
	}
	event.Data = members["data"]
	return event, nil
}

// scalar decodes a string, or, for an extension, an integer, whose text is the
// same in any other format.
func scalar(value json.RawMessage, extension bool) (string, bool) {
	if text, ok := strictjson.Text(value); ok {
		return text, true
	}
	isNumber := value[0] == '-' || '0' <= value[0] && value[0] <= '9'
	return string(value), extension && isNumber && !bytes.ContainsAny(value, ".eE")
}
