package subscriptions

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// app is a platform's own API, which lists what each user sees.
type app struct {
	*httptest.Server
	mu       sync.Mutex
	answer   http.HandlerFunc
	requests []*http.Request
}

func newApp(t *testing.T, answer http.HandlerFunc) *app {
	t.Helper()
	a := &app{answer: answer}
	a.Server = httptest.NewServer(a.handler())
	t.Cleanup(a.Close)
	return a
}

func (a *app) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r.Clone(r.Context()))
		answer := a.answer
		a.mu.Unlock()
		answer(w, r)
	})
}

// answers replaces what the app does.
func (a *app) answers(answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// asked returns the requests that came since the last call.
func (a *app) asked() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	requests := a.requests
	a.requests = nil
	return requests
}

// lists answers with the projects of the user who is named in a header: pairs
// of an id and a label.
func lists(projects map[string][][2]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found := []map[string]any{}
		for _, project := range projects[r.Header.Get("X-User-Id")] {
			found = append(found, map[string]any{"id": project[0], "value": project[1], "secret_budget": 7})
		}
		_ = json.NewEncoder(w).Encode(found)
	}
}

// says answers 200 with a text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

// with is site with other words for its projects than public.
func with(words ...string) string {
	return strings.Replace(site, "resource project {\n\t\t\tpublic\n", "resource project {\n"+strings.Join(words, "\n")+"\n", 1)
}

// lookups returns the count of lookups of projects with an outcome.
func (e *edge) lookups(outcome string) string {
	e.t.Helper()
	text := (&edge{t: e.t, addr: e.admin}).do("", "GET", "/metrics", "").text
	found := regexp.MustCompile(`(?m)^caddy_subscriptions_resource_lookups_total\{outcome="` + outcome + `",resource="project"\} (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return "0"
	}
	return found[1]
}

// project is the body of a request to subscribe to one.
func project(id any, pairs ...any) string {
	return members(append([]any{"target_url", target, "resource_type", "project", "resource_id", id, "events", []string{"*"}}, pairs...)...)
}
