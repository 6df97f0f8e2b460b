// Package jsonbody reads the JSON objects that clients send.
package jsonbody

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

// What a body is refused for, beside its size.
var (
	ErrMediaType = &problem.Problem{
		Status: http.StatusUnsupportedMediaType, Code: "media_type_unsupported",
		Message: "The body must be JSON in UTF-8, sent as such and not compressed.", ProxyError: "http_request_error",
	}
	ErrNoObject = &problem.Problem{
		Status: http.StatusBadRequest, Code: "body_invalid",
		Message: "The body is not a JSON object in UTF-8, with each member once.", ProxyError: "http_request_error",
	}
)

// Object reads a request's body, which is one JSON object of at most limit bytes,
// and returns its members by their exact names.
func Object(r *http.Request, limit int64) (map[string]json.RawMessage, *problem.Problem) {
	if MediaType(r) != "application/json" {
		return nil, ErrMediaType
	}
	body, broken := problem.ReadBody(r, limit)
	if broken != nil {
		return nil, broken
	}
	object, err := strictjson.Object(body)
	if err != nil {
		return nil, ErrNoObject
	}
	return object, nil
}

// MediaType returns the type of a request's body, or "" if it is one that nobody
// reads. It is also what keeps a foreign page's form from posting here.
func MediaType(r *http.Request) string {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return ""
	}
	found, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return found
}
