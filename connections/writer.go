package connections

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

// responseWriter stands between ReverseProxy and the client. Interim (1xx)
// answers of an API end here: early hints act on the edge's own origin.
type responseWriter struct {
	http.ResponseWriter
	discarded http.Header // what ReverseProxy sets before the final answer
	started   bool        // the final answer's header is in the client's
	flush     bool        // after each write
}

// begin moves the API's header into the client's. What the site has set there stays,
// beside it.
func (w *responseWriter) begin(res *http.Response) {
	w.started = true
	client := w.ResponseWriter.Header()
	delete(client, "Server") // the API's counts
	mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	w.flush = mediaType == "text/event-stream" || caddyhttp.IsIncremental(res.Header)
	header.AddAll(client, res.Header)
	if client["Content-Type"] == nil {
		client["Content-Type"] = nil // net/http would guess one
	}
	res.Header = nil
}

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header {
	if w.started {
		return w.ResponseWriter.Header()
	}
	if w.discarded == nil {
		w.discarded = make(http.Header)
	}
	return w.discarded
}

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if !w.started {
		clear(w.discarded)
		return
	}
	w.ResponseWriter.WriteHeader(status)
	if w.flush {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // the next write fails, too
	}
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

// errAnswerBody is what logs say where net/http quotes the API, which may echo a
// credential.
var errAnswerBody = errors.New("the answer's body is malformed")

// answerBody is an API's body on its way to the client, under watch while the
// API is to go on with it.
type answerBody struct {
	io.ReadCloser
	exchange *exchange
	answer   *http.Response
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	b.exchange.watch.Resume()
	n, err := b.ReadCloser.Read(p)
	b.exchange.watch.Pause()
	switch {
	case err == io.EOF:
		b.exchange.clean(b.answer)
	case err != nil && proxyerror.Of(err) == "" && !errors.Is(err, context.Canceled):
		err = errAnswerBody
	}
	return n, err
}
