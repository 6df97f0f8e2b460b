package subscriptions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// specification is the OpenAPI document, to which the harness holds every answer
// of the edge.
type specification struct {
	document jsonObject
	mu       sync.Mutex // over compiler
	compiler *jsonschema.Compiler
}

const specificationURL = "openapi:///openapi.json"

var specified = sync.OnceValue(func() *specification {
	s, err := newSpecification(openapiDocument)
	if err != nil {
		panic(err)
	}
	return s
})

func newSpecification(document []byte) (*specification, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(noLoader{})
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	if err := compiler.AddResource(specificationURL, decoded); err != nil {
		return nil, err
	}
	return &specification{document: decoded.(jsonObject), compiler: compiler}, nil
}

// place is a part of the document, and where that is.
type place struct {
	value   any
	pointer string
}

// at goes down to a part of a part, and to what that refers to. It is nil where
// there is none.
func (s *specification) at(from place, names ...string) place {
	for _, name := range names {
		members, _ := from.value.(jsonObject)
		from = place{members[name], from.pointer + "/" + url.PathEscape(pointerEscapes.Replace(name))}
		if members, ok := from.value.(jsonObject); ok && name != "schema" {
			if ref, ok := members["$ref"].(string); ok {
				from = s.at(place{value: s.document}, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			}
		}
	}
	return from
}

// check says what is wrong with JSON by a schema of the document.
func (s *specification) check(schema place, encoded string) error {
	decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(encoded))
	if err != nil {
		return err
	}
	compiled, err := s.compile(schema)
	if err != nil {
		return err
	}
	return compiled.Validate(decoded)
}

func (s *specification) compile(schema place) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compiler.Compile(specificationURL + "#" + schema.pointer)
}

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
func (s *specification) hold(t *testing.T, got reply, sent string) {
	t.Helper()
	asked := got.Request
	path, _, _ := strings.Cut(asked.URL.EscapedPath(), "?")
	to := routeOf(path)
	if to == nil || got.StatusCode == 299 {
		return
	}
	if err := s.compare(to, asked.Method, got, sent); err != nil {
		t.Errorf("openapi.json does not have %s %s, answered %d %s: %v", asked.Method, path, got.StatusCode, got.text, err)
	}
}

func (s *specification) compare(to *route, method string, got reply, sent string) error {
	root := place{value: s.document}
	described := strings.ToLower(method)
	if method == http.MethodHead {
		described = "get"
	}
	item := s.at(root, "paths", to.path)
	if item.value == nil {
		return fmt.Errorf("no such path")
	}
	operation := s.at(item, described)
	response := s.at(operation, "responses", strconv.Itoa(got.StatusCode))
	if operation.value == nil {
		response = s.at(root, "components", "responses", "MethodNotAllowed")
		if got.StatusCode != http.StatusMethodNotAllowed {
			return fmt.Errorf("no such method")
		}
	}
	if response.value == nil {
		return fmt.Errorf("no such status")
	}
	if err := s.compareHeader(response, got); err != nil {
		return err
	}
	if err := s.compareBody(response, method, got); err != nil {
		return err
	}
	body := s.at(operation, "requestBody", "content", "application/json", "schema")
	required, _ := s.at(operation, "requestBody", "required").value.(bool)
	if got.StatusCode >= 300 || body.value == nil || sent == "" && !required {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(sent), &members); err != nil {
		return err
	}
	// the document says that null is nothing
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	given, _ := json.Marshal(members)
	if err := s.check(body, string(given)); err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	return nil
}

func (s *specification) compareHeader(response place, got reply) error {
	fields, _ := s.at(response, "headers").value.(jsonObject)
	for name := range fields {
		field := s.at(response, "headers", name)
		value := got.Header.Get(name)
		if required, _ := field.value.(jsonObject)["required"].(bool); value == "" && !required {
			continue
		}
		if err := s.check(s.at(field, "schema"), strconv.Quote(value)); value == "" || err != nil {
			return fmt.Errorf("%s is %q: %v", name, value, err)
		}
	}
	return nil
}

func (s *specification) compareBody(response place, method string, got reply) error {
	contents, _ := s.at(response, "content").value.(jsonObject)
	if len(contents) == 0 {
		if got.text != "" || got.Header.Get("Content-Type") != "" {
			return fmt.Errorf("there is a body")
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	schema := s.at(response, "content", kind, "schema")
	switch {
	case schema.value == nil:
		return fmt.Errorf("it is %s", kind)
	case method == http.MethodHead:
		return nil
	}
	return s.check(schema, got.text)
}
