package subscriptions

import (
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/f737063d/caddy-connector/internal/openapitest"
)

// specified is the OpenAPI document, to which the harness holds every answer of
// the edge.
var specified = sync.OnceValue(func() *openapitest.Document {
	document, err := openapitest.New(openapiDocument)
	if err != nil {
		panic(err)
	}
	return document
})

// routeOf returns the route of a path, whatever prefix that begins with.
func routeOf(path string) *route {
	for i := range len(path) {
		if path[i] == '/' {
			if found, _ := find(path[i:], ""); found != nil {
				return found
			}
		}
	}
	return nil
}

// hold fails the test if an answer is not one that the document has. What was
// passed on to the next handler is somebody else's.
func hold(t *testing.T, got reply, sent string) {
	t.Helper()
	asked := got.Request
	path, _, _ := strings.Cut(asked.URL.EscapedPath(), "?")
	to := routeOf(path)
	if to == nil || got.StatusCode == 299 {
		return
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(sent), &members) == nil {
		// the document says that null is nothing
		maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
		given, _ := json.Marshal(members)
		sent = string(given)
	}
	answer := openapitest.Answer{Method: asked.Method, Sent: sent, Status: got.StatusCode, Header: got.Header, Body: got.text}
	if err := specified().Hold(to.path, answer); err != nil {
		t.Errorf("openapi.json does not have %s %s, answered %d %s: %v", asked.Method, path, got.StatusCode, got.text, err)
	}
}
