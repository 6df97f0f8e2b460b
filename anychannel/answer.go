package anychannel

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

// answer is what a service answered, as far as the app gets it.
type answer struct {
	status     int
	retryAfter string // or ""
	body       []byte
}

// failure is why there is no answer: what the app is told, and what the log is.
type failure struct {
	refusal *refusal
	text    string
}

// checkStatus refuses statuses whose body nobody needs to read.
func checkStatus(status int) *refusal {
	switch status / 100 {
	case 2, 4, 5:
		return nil
	case 3:
		return errRedirect
	}
	return errAnswer
}

// newAnswer accepts JSON with any status, and an empty success. What the body is
// decides its bytes, not its Content-Type.
func newAnswer(res *http.Response, body []byte) (*answer, *failure) {
	if isBlank(body) && res.StatusCode/100 == 2 { // frameworks' empty answers may have a space
		return &answer{status: http.StatusNoContent}, nil
	}
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, &failure{errAnswer, "not JSON, with status " + strconv.Itoa(res.StatusCode)}
	}
	a := &answer{status: res.StatusCode, body: body}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		a.retryAfter = retryAfter(res.Header.Get("Retry-After"))
	}
	return a, nil
}

// retryAfter returns a value of the field if it is one: seconds, or a date
// (RFC 9110, section 10.2.3).
func retryAfter(value string) string {
	if _, err := strconv.ParseUint(value, 10, 31); err == nil {
		return value
	}
	if date, err := http.ParseTime(value); err == nil {
		return date.UTC().Format(http.TimeFormat)
	}
	return ""
}

// write sends a. Nothing of the service's header goes with it: no cookie, no
// header that acts on the edge's origin.
func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	if a.retryAfter != "" {
		h.Set("Retry-After", a.retryAfter)
	}
	if a.status == http.StatusNoContent {
		w.WriteHeader(a.status)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client is gone where this fails
}

// classify finds the failure behind an error of the transport. Only errors
// whose text is known to hold no bytes of the service's answer, which may echo
// the metadata, are logged as they are.
func classify(err error) *failure {
	if errors.Is(err, egress.ErrTooLarge) {
		return &failure{errAnswerSize, err.Error()}
	}
	if refused := byProxyError[proxyerror.Of(err)]; refused != nil {
		return &failure{refused, err.Error()}
	}
	return &failure{errProtocol, "malformed answer"}
}
