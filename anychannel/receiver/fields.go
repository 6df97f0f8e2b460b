package receiver

import (
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/internal/problem"
)

const (
	metadataField   = "instance_metadata"
	clientDataField = "client_data"

	maxMetadata = 5000 // characters
	maxPairs    = 64   // in a form
)

// fields are the values of the fields that a body has, of the two that we know.
type fields map[string]string

func isField(name string) bool { return name == metadataField || name == clientDataField }

// parseForm reads a form as browsers write it: only & separates pairs.
func parseForm(body string) (fields, *problem.Problem) {
	if strings.Count(body, "&") >= maxPairs {
		return nil, errForm
	}
	found := make(fields, 2)
	for pair := range strings.SplitSeq(body, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		if nameErr != nil || valueErr != nil {
			return nil, errForm
		}
		if !isField(name) {
			continue
		}
		if _, repeated := found[name]; repeated {
			return nil, errFieldRepeated
		}
		found[name] = value
	}
	return found, nil
}

// parseJSON reads a JSON object with the fields as strings.
func parseJSON(body string) (fields, *problem.Problem) {
	if !utf8.ValidString(body) || !json.Valid([]byte(body)) || kind(body) != '{' {
		return nil, errJSON
	}
	found := make(fields, 2)
	isWhole := true
	for name, value := range children(body) {
		if !isField(name) {
			continue
		}
		if _, repeated := found[name]; repeated {
			return nil, errFieldRepeated
		}
		if value[0] == '"' {
			found[name] = unquote(value)
			isWhole = isWhole && keepsAll(value, found[name])
		} else {
			found[name] = ""
			isWhole = false
		}
	}
	if !isWhole {
		return nil, errField
	}
	return found, nil
}

// keepsAll reports whether decoding a JSON string to text kept all of it. Of
// half a surrogate pair, which is no character, encoding/json makes U+FFFD.
func keepsAll(quoted, text string) bool {
	replaced := strings.Count(text, "\uFFFD")
	if replaced == 0 {
		return true
	}
	bare := strings.ReplaceAll(quoted, `\\`, "") // each \ left begins an escape
	return replaced == strings.Count(bare, "\uFFFD")+strings.Count(strings.ToLower(bare), `\ufffd`)
}

func validMetadata(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxMetadata
}

func validClientData(s string) bool {
	blank := strings.Trim(s, " \t\r\n") == ""
	return blank || utf8.ValidString(s) && json.Valid([]byte(s))
}
