// Package strictjson reads JSON objects without what encoding/json forgives:
// names in another case, names that are there twice, and texts that are none.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Errors that Object returns. None holds bytes of what was read.
var (
	ErrNoObject = errors.New("not a JSON object in UTF-8")
	ErrRepeated = errors.New("a member is there more than once")
)

// Object returns the members of a JSON object by their exact names.
func Object(encoded []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(encoded) || !json.Valid(encoded) {
		return nil, ErrNoObject
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return nil, ErrNoObject
	}
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, ErrNoObject
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, ErrNoObject
		}
		if _, repeated := members[name.(string)]; repeated {
			return nil, ErrRepeated
		}
		members[name.(string)] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, ErrNoObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrNoObject
	}
	return members, nil
}

// Text decodes a value that Object returned, if it is a string. One with half of
// a surrogate pair is no text: encoding/json would put something else in its
// place.
func Text(encoded json.RawMessage) (text string, ok bool) {
	if len(encoded) == 0 || encoded[0] != '"' || !whole(string(encoded)) {
		return "", false
	}
	return text, json.Unmarshal(encoded, &text) == nil
}

// whole reports whether all surrogates that a valid JSON string escapes are in
// pairs.
func whole(quoted string) bool {
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		i++
		if quoted[i] != 'u' {
			continue
		}
		unit, _ := escaped(quoted[i-1:])
		i += 4
		if !utf16.IsSurrogate(unit) {
			continue
		}
		next, ok := escaped(quoted[i+1:])
		if !ok || utf16.DecodeRune(unit, next) == utf8.RuneError {
			return false
		}
		i += 6
	}
	return true
}

// escaped returns the unit of the escape that a text begins with, such as
// "\u00e4".
func escaped(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(unit), err == nil
}
