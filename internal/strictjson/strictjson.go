// Package strictjson reads JSON objects without what encoding/json forgives:
// names in another case, names that are there twice, and texts that are none.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Errors that Object returns. None holds bytes of what was read.
var (
	ErrNoObject = errors.New("not a JSON object in UTF-8")
	ErrRepeated = errors.New("a member is there more than once")
)

// Object returns the members of a JSON object by their exact names. The values
// are parts of what was read, not copies.
func Object(encoded []byte) (map[string]json.RawMessage, error) {
	rest := skipSpace(encoded)
	if len(rest) == 0 || rest[0] != '{' || !utf8.Valid(encoded) || !json.Valid(encoded) {
		return nil, ErrNoObject
	}
	// from here on it is known to be valid
	members := make(map[string]json.RawMessage)
	for rest = skipSpace(rest[1:]); rest[0] != '}'; {
		quoted := rest[:valueSize(rest)]
		name, ok := memberName(quoted)
		if !ok {
			return nil, ErrNoObject
		}
		if _, repeated := members[name]; repeated {
			return nil, ErrRepeated
		}
		rest = skipSpace(rest[len(quoted):])
		rest = skipSpace(rest[1:]) // the colon
		size := valueSize(rest)
		members[name] = rest[:size:size]
		if rest = skipSpace(rest[size:]); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return members, nil
}

func memberName(quoted []byte) (name string, ok bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), true
	}
	return name, json.Unmarshal(quoted, &name) == nil
}

func skipSpace(encoded []byte) []byte { return bytes.TrimLeft(encoded, " \t\r\n") }

// valueSize returns how long the value is that valid JSON begins with.
func valueSize(encoded []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(encoded); i++ {
		switch c := encoded[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			if quoted = !quoted; !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth--; depth < 0 { // of what is around a number, or a word
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c <= ' '):
			return i
		}
	}
	return len(encoded)
}

// Text decodes a value that Object returned, if it is a string. One with half of
// a surrogate pair is no text: encoding/json would put something else in its
// place.
func Text(encoded json.RawMessage) (text string, ok bool) {
	if len(encoded) < 2 || encoded[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(encoded, '\\') < 0 {
		return string(encoded[1 : len(encoded)-1]), true
	}
	return text, whole(string(encoded)) && json.Unmarshal(encoded, &text) == nil
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
