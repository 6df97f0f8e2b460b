package receiver

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/f737063d/caddy-connector/internal/problem"
)

// parserFor returns what parses the request's body, going by its header.
func parserFor(r *http.Request) (func(string) (fields, *problem.Problem), *problem.Problem) {
	if r.Method != http.MethodPost {
		return nil, errMethod
	}
	types := r.Header["Content-Type"]
	if len(types) != 1 {
		return nil, errMediaType
	}
	mediaType, params, err := mime.ParseMediaType(types[0])
	if charset, given := params["charset"]; err != nil || given && !strings.EqualFold(charset, "utf-8") {
		return nil, errMediaType
	}
	for _, encoding := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(encoding, "identity") {
			return nil, errMediaType
		}
	}
	switch mediaType {
	case "application/x-www-form-urlencoded":
		return parseForm, nil
	case "application/json":
		return parseJSON, nil
	}
	return nil, errMediaType
}

// holdBody reads the body to its end and gives r one of the same bytes.
// Trailers are dropped.
func holdBody(r *http.Request, maxBody int64) (string, *problem.Problem) {
	body, refused := problem.ReadBody(r, maxBody)
	if refused != nil {
		return "", refused
	}
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Trailer = nil
	return string(body), nil
}
