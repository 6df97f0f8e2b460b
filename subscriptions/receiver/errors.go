package receiver

import (
	"errors"
	"net/http"

	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// retryAfter is when, in seconds, the first of what fills the memory for replays
// may be forgotten.
const retryAfter = 60

// What the handler answers itself. The codes are part of the interface.
var (
	errMissing = &problem.Problem{
		Status: http.StatusUnauthorized, Code: "signature_missing",
		Message: "The request has no webhook signature, or not all of its header fields.", ProxyError: "http_request_denied",
	}
	errMalformed = &problem.Problem{
		Status: http.StatusUnauthorized, Code: "signature_malformed",
		Message: "A header field of the webhook signature is malformed or repeated.", ProxyError: "http_request_denied",
	}
	errExpired = &problem.Problem{
		Status: http.StatusUnauthorized, Code: "timestamp_expired",
		Message: "The webhook's timestamp is too old.", ProxyError: "http_request_denied",
	}
	errEarly = &problem.Problem{
		Status: http.StatusUnauthorized, Code: "timestamp_early",
		Message: "The webhook's timestamp is too far in the future.", ProxyError: "http_request_denied",
	}
	errInvalid = &problem.Problem{
		Status: http.StatusUnauthorized, Code: "signature_invalid",
		Message: "The webhook has no signature that is valid here.", ProxyError: "http_request_denied",
	}
	// It was signed well: that says 409. A sender that looks at the status does
	// not take its secret for wrong.
	errReplayed = &problem.Problem{
		Status: http.StatusConflict, Code: "replayed",
		Message: "A webhook with this id and timestamp was received before.", ProxyError: "http_request_denied",
	}
	errFull = &problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "replay_cache_full",
		Message: "Too many webhooks were received in a short time.", ProxyError: "http_request_denied",
	}
)

// problemOf returns the problem of a webhook that was not verified.
func problemOf(err error) *problem.Problem {
	switch {
	case errors.Is(err, signature.ErrMissing):
		return errMissing
	case errors.Is(err, signature.ErrMalformed):
		return errMalformed
	case errors.Is(err, signature.ErrExpired):
		return errExpired
	case errors.Is(err, signature.ErrTooEarly):
		return errEarly
	}
	return errInvalid
}

// isProof reports whether p is of the proof, not of the body.
func isProof(p *problem.Problem) bool {
	switch p {
	case errMissing, errMalformed, errExpired, errEarly, errInvalid, errReplayed, errFull:
		return true
	}
	return false
}
