package subscriptions

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// pending are paths that the document has before their routes are there.
var pending = []string{}

// Whatever can be asked for is in the document, and the other way round.
func TestDocumentHasAllRoutes(t *testing.T) {
	paths := specified().document["paths"].(jsonObject)
	var described, served []string
	for path, item := range paths {
		if slices.Contains(pending, path) {
			continue
		}
		for method := range item.(jsonObject) {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	for _, to := range routes {
		if slices.Contains(pending, to.path) {
			t.Errorf("%s is not pending any more", to.path)
		}
		for method := range to.methods {
			if method != http.MethodHead { // which each GET has
				served = append(served, method+" "+to.path)
			}
		}
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described: %q\nserved: %q", described, served)
	}
}

// checkOpenAPI checks a document against OpenAPI's own schema, which knows no
// other members, and each schema in it against that of JSON Schema.
func checkOpenAPI(t *testing.T, encoded []byte) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	meta, err := jsonschema.UnmarshalJSON(strings.NewReader(datamodel.OpenAPI31SchemaData))
	if err == nil {
		err = compiler.AddResource("openapi:///3.1", meta)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSpecification(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.MustCompile("openapi:///3.1").Validate(s.document); err != nil {
		t.Error(err)
	}
	s.walk(t, place{value: s.document})
}

// walk checks what is below a place.
func (s *specification) walk(t *testing.T, from place) {
	t.Helper()
	if elements, ok := from.value.([]any); ok {
		for i, element := range elements {
			s.walk(t, place{element, from.pointer + "/" + strconv.Itoa(i)})
		}
		return
	}
	members, _ := from.value.(jsonObject)
	if members["$id"] != nil {
		return // an event type's own schema, whose references lead into itself
	}
	if ref, ok := members["$ref"].(string); ok && s.at(place{value: s.document}, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).value == nil {
		t.Errorf("%s refers to %s, which is not there", from.pointer, ref)
	}
	for name, value := range members {
		below := place{value, from.pointer + "/" + url.PathEscape(pointerEscapes.Replace(name))}
		if name == "schema" || strings.HasPrefix(from.pointer, "/components/schemas") && strings.Count(from.pointer, "/") == 2 {
			if _, err := s.compile(below); err != nil {
				t.Error(err)
			}
		}
		s.walk(t, below)
	}
}

func TestDocumentIsOpenAPI(t *testing.T) {
	checkOpenAPI(t, openapiDocument)
}

func TestDocumentOfAConfig(t *testing.T) {
	site := catalogueSite("description \"A task was created\"\nschema " + writeFile(t, taskSchema))
	e := start(t, site)
	got := e.do("", "GET", "/openapi.json", "")
	got.is(t, http.StatusOK, "")
	checkOpenAPI(t, []byte(got.text))
	schemas := got.body["components"].(jsonObject)["schemas"].(jsonObject)
	types := []any{"delivery.exhausted", "project.archive", "subscription.disabled", "subscription.ended", "subscription.failing", "subscription.recovered", "task.create"}
	for name, want := range map[string][]any{"EventType": types, "ResourceType": {"project"}} {
		if enum := schemas[name].(jsonObject)["enum"]; !reflect.DeepEqual(enum, want) {
			t.Errorf("%s: %v, want %v", name, enum, want)
		}
	}
	webhooks := got.body["webhooks"].(jsonObject)
	if len(webhooks) != len(types) || webhooks["task.create"].(jsonObject)["post"].(jsonObject)["summary"] != "A task was created" {
		t.Errorf("webhooks: %v", webhooks)
	}
	e.do("alice", "HEAD", "/openapi.json", "").is(t, http.StatusOK, "")

	// the client sees another prefix than the handler
	for site, server := range map[string]string{
		site: "/",
		strings.Replace(site, "subscriptions {", "subscriptions {\nprefix /api/v1", 1): "/api/v1",
		"handle_path /outer/* {\n" + site + "\n}":                                      "/outer",
	} {
		e.load("", site)
		got := e.do("", "GET", strings.TrimSuffix(server, "/")+"/openapi.json", "")
		got.is(t, http.StatusOK, "")
		if servers := got.body["servers"]; !reflect.DeepEqual(servers, []any{jsonObject{"url": server}}) {
			t.Errorf("servers: %v, want %s", servers, server)
		}
	}
}

// What is sent is what the document of the config says, with the schema in it
// that the config has.
func TestDocumentDescribesPushes(t *testing.T) {
	e := start(t, catalogueSite("schema "+writeFile(t, taskSchema)))
	s, err := newSpecification([]byte(e.do("", "GET", "/openapi.json", "").text))
	if err != nil {
		t.Fatal(err)
	}
	schema := s.at(place{value: s.document}, "webhooks", "task.create", "post", "requestBody", "content", "application/json", "schema")
	for body, valid := range map[string]bool{
		`"type":"task.create","data":{"title":"x","owner":{"name":"bob"}}`: true,
		`"type":"task.create","data":{"title":"x","a/b":{"name":"BOB"}}`:   false, // by what the schema refers to in itself
		`"type":"task.create","data":{}`:                                   false,
		`"type":"task.update","data":{"title":"x"}`:                        false,
		`"type":"task.create","data":{"title":"x"},"other":1`:              false,
		`"type":"task.create","data":{"title":"x"},"account_id":"alice"`:   true,
	} {
		push := `{"id":"evt_1","timestamp":"2026-01-01T00:00:00.5Z","resource_id":"p1",` + body + `}`
		if err := s.check(schema, push); (err == nil) != valid {
			t.Errorf("%s: %v", push, err)
		}
	}
}
