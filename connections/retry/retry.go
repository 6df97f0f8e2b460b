// Package retry decides whether a request to an API is sent again, and when.
package retry

import (
	"net/http"
	"slices"
	"time"

	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

// How requests are tried again, where an API's answers ask for nothing else.
const (
	maxElapsed = 10 * time.Second // from the first attempt to the last one's begin
	minDelay   = 200 * time.Millisecond
)

// maxDelays are the longest waits before each retry; there are no more of them.
var maxDelays = [...]time.Duration{time.Second, 2 * time.Second}

// Request is what of a request counts.
type Request struct {
	Method string
	Header http.Header

	// Replayable is whether all of the body can be sent again.
	Replayable bool
}

// Idempotent reports whether it makes no difference how often the request is
// carried out: by its method (RFC 9110, section 9.2.2), or because its key lets
// the API know it again.
func (r Request) Idempotent() bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	keys := r.Header["Idempotency-Key"]
	return len(keys) == 1 && keys[0] != ""
}

// Outcome is how an attempt ended.
type Outcome struct {
	Retries int           // before it: 0 for the first attempt's
	Elapsed time.Duration // since the first attempt began
	Now     time.Time

	// Failure is the proxy error type (RFC 9209) of an attempt without an answer.
	Failure string

	// Status and Header are the answer's.
	Status int
	Header http.Header
}

// Decide reports whether the request is sent again, and after how long. Chance is
// a random number from 0 to 1, below 1. Who retries takes it from a Budget first.
func Decide(r Request, o Outcome, chance float64) (wait time.Duration, again bool) {
	if o.Retries >= len(maxDelays) || !r.Replayable || !r.Idempotent() || !isTransient(o) {
		return 0, false
	}
	wait = minDelay + time.Duration(chance*float64(maxDelays[o.Retries]-minDelay))
	asked, ok := After(o.Header, o.Now)
	switch {
	case ok:
		// not all at the same time; but who asks for none gets none
		wait = asked + time.Duration(chance*float64(min(minDelay, asked)))
	case o.Status == http.StatusTooManyRequests:
		return 0, false // nobody knows when
	}
	if wait > maxElapsed-o.Elapsed {
		return 0, false
	}
	return wait, true
}

// failures are those that another attempt may not have.
var failures = []string{
	proxyerror.ConnectionRefused, proxyerror.ConnectionTerminated, proxyerror.ConnectionTimeout, proxyerror.DNSError,
}

func isTransient(o Outcome) bool {
	switch o.Status {
	case 0:
		return slices.Contains(failures, o.Failure)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
