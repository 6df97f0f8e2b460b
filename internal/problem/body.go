package problem

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
)

// The problems of a request's body.
var (
	BodyTooLarge = &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: "The request body is too large.", ProxyError: "http_request_error",
	}
	BodyIncomplete = &Problem{
		Status: http.StatusBadRequest, Code: "body_incomplete",
		Message: "The request body ended before it was complete.", ProxyError: "http_request_error",
	}
	BodyTimeout = &Problem{
		Status: http.StatusRequestTimeout, Code: "body_timeout",
		Message: "The request body did not arrive in time.", ProxyError: "http_request_error",
	}
	// ClientGone is only for logs and metrics: nobody is there to read it.
	ClientGone = &Problem{Status: 499, Code: "client_gone"}
)

// OfBody returns the problem of a request whose body, read through an
// http.MaxBytesReader, ended early with err.
func OfBody(ctx context.Context, err error) *Problem {
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return BodyTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return BodyTimeout
	case errors.Is(err, io.ErrUnexpectedEOF):
		return BodyIncomplete // net/http ends the context, too, though the client may still listen
	case ctx.Err() != nil:
		return ClientGone
	}
	return BodyIncomplete
}

// firstBuffer is what a body gets in advance: its length is only a claim.
const firstBuffer = 64 << 10

// ReadBody reads a request's body whole, up to limit bytes.
func ReadBody(r *http.Request, limit int64) ([]byte, *Problem) {
	if r.ContentLength > limit {
		return nil, BodyTooLarge
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(min(r.ContentLength, firstBuffer)) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(nil, r.Body, limit)); err != nil {
		return nil, OfBody(r.Context(), err)
	}
	return body.Bytes(), nil
}
