package connector

import (
	"maps"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/problem"
)

// responseWriter stands between ReverseProxy and the client. ReverseProxy
// clears the whole header after an interim (1xx) answer, with what earlier
// handlers have set in it; so interim headers are collected apart.
type responseWriter struct {
	http.ResponseWriter
	withheld  header.Set
	collected http.Header // of interim answers
	started   bool        // the final answer's header is in the client's
	flush     bool        // after each write
}

// begin moves the upstream's header into the client's. It is what ReverseProxy
// would copy; moving saves a slice per field.
func (w *responseWriter) begin(res *http.Response) {
	w.started = true
	client := w.ResponseWriter.Header()
	delete(client, "Server") // the upstream's counts; Via names this server
	delete(res.Header, "Alt-Svc")
	problem.Disown(res.Header)
	addVia(res.Header, res.ProtoMajor, res.ProtoMinor)
	w.flush = isFlushed(res.Header)
	header.AddAll(client, res.Header)
	res.Header = nil
}

// isFlushed reports whether each write must reach the client at once: events
// (the WHATWG's server-sent events), and what asks for it (RFC 10036).
// ReverseProxy itself does it for answers of unknown length.
func isFlushed(h http.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream") || caddyhttp.IsIncremental(h)
}

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header {
	if w.started {
		return w.ResponseWriter.Header()
	}
	if w.collected == nil {
		w.collected = make(http.Header)
	}
	return w.collected
}

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if w.started {
		w.ResponseWriter.WriteHeader(status)
		if w.flush {
			_ = http.NewResponseController(w.ResponseWriter).Flush() // the next write fails, too
		}
		return
	}
	w.withheld.Strip(w.collected)
	stripHops(w.collected)
	client := w.ResponseWriter.Header()
	own := maps.Clone(client)
	header.AddAll(client, w.collected)
	w.ResponseWriter.WriteHeader(status)
	clear(client)
	maps.Copy(client, own)
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	if w.flush && err == nil {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
