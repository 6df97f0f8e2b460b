// Package problem writes the errors that the edge itself answers.
package problem

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ProxyName identifies the edge in Proxy-Status.
const ProxyName = "caddy-connector"

// ProxyLoop is the proxy error type of a loop (RFC 9209, section 2.3.29).
const ProxyLoop = "proxy_loop_detected"

// Disown removes what an upstream says in the edge's name from its answer's
// Proxy-Status, so that none passes for the edge's own.
func Disown(upstream http.Header) {
	values := upstream["Proxy-Status"]
	if len(values) == 0 {
		return
	}
	upstream["Proxy-Status"] = slices.DeleteFunc(slices.Clone(values), func(value string) bool {
		return strings.Contains(strings.ToLower(value), ProxyName)
	})
}

// IsLoop reports whether an answer is an edge's own, telling of a proxy loop.
func IsLoop(answer *http.Response) bool {
	return answer.StatusCode == http.StatusLoopDetected &&
		slices.Contains(answer.Header["Proxy-Status"], ProxyName+"; error="+ProxyLoop)
}

// Problem is an error answer of the edge: an RFC 9457 problem document with
// the members code and message beside the standard ones, and a Proxy-Status
// field (RFC 9209), by which it can be told from the same status of an
// upstream. It never holds text of the request, of an upstream or of a Go
// error.
type Problem struct {
	// HTTP status code.
	Status int
	// Stable name for programs, in snake_case.
	Code string
	// One sentence for people. It may change.
	Message string
	// RFC 9209 proxy error type, such as connection_refused.
	ProxyError string
}

// Write sends p. The response must not have been started. Fields of a
// forwarded answer that are already in w's header, such as its Content-Length,
// are replaced; others, such as Allow or Retry-After, are kept.
func (p *Problem) Write(w http.ResponseWriter) {
	// strings and a number always encode
	body, _ := json.Marshal(struct {
		Type    string `json:"type"`
		Title   string `json:"title"`
		Status  int    `json:"status"`
		Detail  string `json:"detail"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}{"about:blank", http.StatusText(p.Status), p.Status, p.Message, p.Code, p.Message})
	h := w.Header()
	h.Del("Content-Encoding")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Proxy-Status", ProxyName+"; error="+p.ProxyError)
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client is gone where this fails
}
