package anychannel

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/internal/problem"
)

// readBody returns the app's JSON, byte for byte, or nothing.
func (ex *exchange) readBody() ([]byte, *refusal) {
	r := ex.inbound
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, errMediaType
	}
	body, broken := problem.ReadBody(r, ex.handler.MaxBody)
	switch {
	case broken != nil:
		return nil, byBody[broken]
	case len(body) == 0:
		return nil, nil
	case !isJSONType(r.Header.Get("Content-Type")):
		return nil, errMediaType
	case !utf8.Valid(body) || !isBlank(body) && !json.Valid(body):
		return nil, errJSON
	}
	return body, nil
}

// isBlank reports whether a body is nothing but what JSON takes for space.
func isBlank(body []byte) bool { return len(bytes.Trim(body, " \t\r\n")) == 0 }

// isJSONType reports whether a Content-Type is JSON in UTF-8. It is also what
// keeps a foreign page's form from posting here.
func isJSONType(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}
