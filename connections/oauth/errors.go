package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/connections/retry"
)

// Kind is what is to be done about an error.
type Kind int

// The kinds of errors.
const (
	// Transient is for what may be gone soon: wait, and try again.
	Transient Kind = iota + 1

	// Reauth is for a grant that is no more: only the user can help, by connecting
	// again.
	Reauth

	// Misconfigured is for a client that the server doesn't know or doesn't let do
	// this: the operator can help, and the grant may still be good.
	Misconfigured

	// Broken is for an answer that can't be understood or must not be used.
	Broken
)

// String implements fmt.Stringer.
func (k Kind) String() string {
	switch k {
	case Transient:
		return "transient"
	case Reauth:
		return "reauth"
	case Misconfigured:
		return "misconfigured"
	case Broken:
		return "broken"
	}
	return "unknown"
}

// Error is why there is no token. It holds no secret, and no text of the server's
// but its code: descriptions repeat what was sent.
type Error struct {
	Kind   Kind
	Code   string // of the server (RFC 6749, section 5.2), or ""
	Status int    // of its answer, or 0
	Reason string // the package's own words, or the type of a proxy error (RFC 9209)

	// RetryAfter is how long not to ask again, if the server or a pause says so.
	RetryAfter time.Duration

	cause error // the end of a context, or nil
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("no token (" + e.Kind.String() + ")")
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	if e.Code != "" {
		b.WriteString(": " + e.Code)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	return b.String()
}

// Unwrap returns context.Canceled or context.DeadlineExceeded, if that was it.
func (e *Error) Unwrap() error { return e.cause }

// kinds are those of the codes: the registered ones, and those that large servers
// have in their place.
var kinds = map[string]Kind{
	"invalid_grant":         Reauth,
	"access_denied":         Reauth,
	"login_required":        Reauth, // OpenID Connect
	"interaction_required":  Reauth,
	"consent_required":      Reauth,
	"bad_verification_code": Reauth, // GitHub
	"bad_refresh_token":     Reauth,
	"invalid_code":          Reauth, // Slack
	"invalid_refresh_token": Reauth,
	"token_expired":         Reauth,
	"token_revoked":         Reauth,

	"invalid_client":               Misconfigured,
	"unauthorized_client":          Misconfigured,
	"invalid_request":              Misconfigured,
	"invalid_scope":                Misconfigured,
	"invalid_target":               Misconfigured, // RFC 8707
	"unsupported_grant_type":       Misconfigured,
	"unsupported_response_type":    Misconfigured,
	"unsupported_token_type":       Misconfigured, // RFC 7009
	"incorrect_client_credentials": Misconfigured, // GitHub
	"redirect_uri_mismatch":        Misconfigured,
	"bad_client_secret":            Misconfigured, // Slack
	"invalid_client_id":            Misconfigured,
	"bad_redirect_uri":             Misconfigured,

	"server_error":            Transient,
	"temporarily_unavailable": Transient,
	"slow_down":               Transient, // RFC 8628
	"ratelimited":             Transient, // Slack
	"internal_error":          Transient,
	"fatal_error":             Transient,
	"service_unavailable":     Transient,
}

const maxErrorCode = 64

// codeOf returns a server's code if it can be shown: a known one, or one that looks
// like a code and has no part in what was sent.
func codeOf(code string, sent url.Values) string {
	if kinds[code] != 0 {
		return code
	}
	if code == "" || len(code) > maxErrorCode || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	for _, values := range sent {
		for _, value := range values {
			if value != "" && (strings.Contains(value, code) || strings.Contains(code, value)) {
				return ""
			}
		}
	}
	return code
}

// refusal returns the error for what a server has answered with that code.
func refusal(status int, code string) *Error {
	e := &Error{Kind: Broken, Status: status, Code: code}
	switch {
	case isTransient(status):
		e.Kind = Transient // whatever the body says: it may be that of another request
	case kinds[code] != 0:
		e.Kind = kinds[code]
	case status == http.StatusUnauthorized: // RFC 6749, section 5.2
		e.Kind = Misconfigured
	}
	return e
}

func isTransient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// wait sets how long the server wants to be left alone.
func (e *Error) wait(header http.Header, now time.Time) *Error {
	if e.Kind == Transient || e.Kind == Broken {
		e.RetryAfter, _ = retry.After(header, now)
	}
	return e
}

// Interface guard
var _ error = (*Error)(nil)
