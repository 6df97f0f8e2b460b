package subscriptions

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/internal/jsonbody"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

// maxID is the longest id of a resource or an account, in characters.
const maxID = 255

// object is the members of a JSON object, by their exact names.
type object map[string]json.RawMessage

// readObject reads a request's body, which is one JSON object.
func readObject(r *http.Request, limit int64) (object, error) {
	o, broken := jsonbody.Object(r, limit)
	if broken != nil {
		return nil, &refusal{broken}
	}
	return o, nil
}

func parseObject(encoded []byte) (object, bool) {
	o, err := strictjson.Object(encoded)
	return o, err == nil
}

// isObject reports whether JSON is an object.
func isObject(encoded []byte) bool {
	trimmed := bytes.TrimLeft(encoded, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '{'
}

// get returns the first of these members that is there and not null.
func (o object) get(names ...string) json.RawMessage {
	for _, name := range names {
		if value := o[name]; len(value) > 0 && string(value) != "null" {
			return value
		}
	}
	return nil
}

// text decodes a JSON string.
func text(encoded json.RawMessage) (string, bool) { return strictjson.Text(encoded) }

// boolean decodes true or false.
func boolean(encoded json.RawMessage) (value, ok bool) {
	return string(encoded) == "true", string(encoded) == "true" || string(encoded) == "false"
}

// identifier decodes the id of a resource or an account. A number is the text
// that it is written as; one with a fraction or an exponent can be written in
// several ways, and is refused.
func identifier(encoded json.RawMessage) (string, bool) {
	if len(encoded) > 0 && (encoded[0] == '-' || '0' <= encoded[0] && encoded[0] <= '9') {
		return string(encoded), len(encoded) <= maxID && !bytes.ContainsAny(encoded, ".eE")
	}
	id, ok := text(encoded)
	return id, ok && validIdentifier(id)
}

func validIdentifier(id string) bool {
	return id != "" && utf8.RuneCountInString(id) <= maxID &&
		strings.IndexFunc(id, unicode.IsControl) < 0 // PostgreSQL has no NUL in a text
}
