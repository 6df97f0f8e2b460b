package connector

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"slices"
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
	streams   *streams
	hijacked  net.Conn
	last      farewell
}

// begin moves the upstream's header into the client's.
func (w *responseWriter) begin(res *http.Response) {
	w.started = true
	client := w.ResponseWriter.Header()
	delete(client, "Server") // the upstream's counts; Via names this server
	delete(res.Header, "Alt-Svc")
	problem.Disown(res.Header)
	res.Header["Via"] = append(res.Header["Via"], via(res.ProtoMajor, res.ProtoMinor))
	w.flush = caddyhttp.IsIncremental(res.Header) // RFC 10036
	if res.StatusCode == http.StatusSwitchingProtocols {
		if strings.EqualFold(res.Header.Get("Upgrade"), "websocket") {
			w.last = goingAway
		}
		return // ReverseProxy reads the header and copies it itself
	}
	for name, values := range res.Header {
		if set := client[name]; set != nil {
			values = append(slices.Clip(set), values...)
		}
		client[name] = values
	}
	res.Header = nil
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
		return
	}
	w.withheld.Strip(w.collected)
	interim.Strip(w.collected)
	client := w.ResponseWriter.Header()
	own := maps.Clone(client)
	maps.Copy(client, w.collected)
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

// Hijack implements http.Hijacker.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = conn
		w.streams.add(conn, w.last)
	}
	return conn, brw, err
}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
