package connections

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/openapi"
)

// What an API answers otherwise than its document says is told: where, by which
// rule, and never with a value.
func TestConnectorDiffers(t *testing.T) {
	shortenCalls(t, 3*time.Second)
	elsewhere := newAPI(t, nil)
	large := strings.Repeat("x", openapi.MaxBody)
	answers := map[string]func(w http.ResponseWriter, r *http.Request){
		"/good":      says(200, `{"id":1,"name":"planted"}`),
		"/missing":   says(200, `{"id":1}`),
		"/type":      says(200, `{"id":"planted","name":7,"next":{"id":1.5,"name":"planted"}}`),
		"/more":      says(200, `{"id":1,"name":"x","planted":"planted"}`),
		"/no-json":   says(200, `{"planted`),
		"/empty":     says(200, ``),
		"/status":    says(418, `{"planted":1}`),
		"/none":      says(404, `{"planted":1}`),
		"/html":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html><p>planted") },
		"/words":     func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/planted") },
		"/large":     says(200, `{"id":1,"name":"`+large+`"}`),
		"/binary":    says(200, large+large),
		"/unknown":   says(401, `{}`),
		"/forbidden": says(403, `{}`),
		"/broken":    says(500, `{}`),
		"/moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/planted", http.StatusFound)
		},
		"/hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"/cut":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"/short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			says(200, `{"id":1,"name":"planted"}`)(w, nil)
		},
		"/drips": func(w http.ResponseWriter, r *http.Request) {
			says(200, `{"id":1,`)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	}
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) { answers[strings.TrimPrefix(r.URL.Path, "/v2")](w, r) })
	const missing = "response.body.name(required) present/missing"
	wants := []string{
		"GET /good 200 ok",
		"GET /missing 200 " + missing,
		"GET /type 200 response.body.id(type) integer/string response.body.name(type) string/number response.body.next.id(type) integer/number",
		"GET /more 200 response.body.*(additionalProperties) absent/present",
		"GET /no-json 200 response.body(body) JSON/something else",
		"GET /empty 200 response.body(body) JSON/something else",
		"GET /status 418 response.status(status) 200, 404, 401, 5XX/418",
		"GET /none 404 ok",
		"GET /html 200 response.content_type(content_type) application/json/text/html",
		"GET /words 200 response.content_type(content_type) application/json/text/*",
		"GET /large 200 response.body(unchecked) /too large, or too intricate",
		"GET /unknown 401 auth",
		"GET /forbidden 403 scope response.status(status) 200, 404, 401, 5XX/403",
		"GET /broken 500 answer",
		"GET /moved 302 response.status(status) 200, 404, 401, 5XX/302",
		"GET /hangs answer",
		"GET /cut answer",
		"GET /short 200 answer",
		"GET /drips 200 answer",
		"GET /binary 200 ok",
	}
	var paths strings.Builder
	for _, want := range wants[:len(wants)-1] {
		fmt.Fprintf(&paths, "%s: {get: {responses: {'200': {$ref: '#/components/responses/S'}, '404': {description: None}, '401': {description: Who}, 5XX: {description: Broken}}}}\n", strings.Fields(want)[1])
	}
	e := start(t, a.documented(t, "shop", "auth none", paths.String()+"/binary: {get: {responses: {default: {description: Bytes}}}}"))
	id := e.connected("alice", "shop", `{"name":"mine"}`)
	got := e.tries("alice", "shop", id, "")
	got.tells(t, wants...)
	if strings.Contains(got.text, "planted") || strings.Contains(e.logs(), "planted") {
		t.Errorf("a value is told: %s", got.text)
	}
	if asked := elsewhere.seen(); len(asked) > 0 {
		t.Error("a redirect was followed")
	}
	if asked := a.seen(); len(asked) != len(wants) {
		t.Errorf("the API was asked %d times", len(asked))
	}
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// shortenCalls has each call of a test end earlier, until the test ends.
func shortenCalls(t *testing.T, timeout time.Duration) {
	old := operationTimeout
	operationTimeout = timeout
	t.Cleanup(func() { operationTimeout = old })
}

const two = "/a: {get: {responses: {default: {description: Any}}}}\n/b: {get: {responses: {default: {description: Any}}}}"

// Where one call failed in a way in which all would, there is no other one; nor
// where none can be made.
func TestConnectorTestStops(t *testing.T) {
	unknown := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(unknown.Close)
	busy := newAPI(t, says(http.StatusTooManyRequests, "{}"))
	at := func(name, url, auth string) string {
		return (&api{Server: &httptest.Server{URL: url}}).documented(t, name, auth, two)
	}
	e := start(t, at("refused", "http://"+freeAddr(t), "auth none")+at("private", "http://127.0.0.2:1", "auth none")+at("unknown", "https://no-such-host.invalid", "auth none")+
		at("certificate", unknown.URL, "auth none")+busy.documented(t, "busy", "auth none", two)+busy.documented(t, "key", "auth bearer", two)+
		strings.Replace(busy.documented(t, "variable", "auth none", two), "/v2", "/{{account}}", 1))
	const stopped = "skipped GET /b: stopped"
	for api, want := range map[string][]string{
		"refused": {"GET /a connect", stopped}, "private": {"GET /a connect", stopped}, "unknown": {"GET /a dns", stopped}, "certificate": {"GET /a tls", stopped},
		"busy": {"GET /a 429 answer", stopped}, "key": {"credentials"}, "variable": {"target"},
	} {
		id := e.connected("alice", api, `{"name":"mine"}`)
		e.tries("alice", api, id, "").tells(t, want...)
	}
	if asked := busy.seen(); len(asked) != 1 {
		t.Errorf("the API was asked %d times", len(asked))
	}
}
