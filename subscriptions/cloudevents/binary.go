package cloudevents

import (
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

const headerPrefix = "Ce-"

// IsBinary reports whether a message that is neither structured nor batched is
// an event: whether it has one of the attributes that each event has.
func IsBinary(header http.Header) bool {
	for _, name := range []string{"Specversion", "Id", "Source", "Type"} {
		if len(header[headerPrefix+name]) > 0 {
			return true
		}
	}
	return false
}

// ParseHeader reads an event's attributes in the binary content mode, in which
// the body is its data.
func ParseHeader(header http.Header) (Event, error) {
	if len(header[headerPrefix+"Datacontenttype"]) > 0 { // that is the Content-Type
		return Event{}, &AttributeError{Name: "datacontenttype"}
	}
	return read(func(name string) (string, bool, error) {
		values := header[textproto.CanonicalMIMEHeaderKey(headerPrefix+name)]
		if len(values) == 0 {
			return "", false, nil
		}
		value, err := decodeHeader(values[0])
		if err != nil || len(values) > 1 {
			return "", false, &AttributeError{Name: name}
		}
		return value, true, nil
	})
}

var errHeader = errors.New("cloudevents: malformed header value")

// decodeHeader decodes a header's value: quotes first, which only older versions
// of the binding write, then one round of percent-encoding.
func decodeHeader(value string) (string, error) {
	if strings.HasPrefix(value, `"`) {
		unquoted, ok := unquote(value)
		if !ok {
			return "", errHeader
		}
		value = unquoted
	} else if strings.Contains(value, `"`) {
		return "", errHeader
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return "", errHeader
		}
	}
	decoded, err := url.PathUnescape(value) // which leaves a plus
	if err != nil || !validText(decoded) {
		return "", errHeader
	}
	return decoded, nil
}

// unquote reads a quoted-string of RFC 9110.
func unquote(quoted string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(quoted); i++ {
		switch c := quoted[i]; c {
		case '"':
			return b.String(), i == len(quoted)-1
		case '\\':
			if i++; i == len(quoted) {
				return "", false
			}
			b.WriteByte(quoted[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
