package subscriptions

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/internal/openapitest"
)

// Whatever can be asked for is in the document, and the other way round.
func TestDocumentHasAllRoutes(t *testing.T) {
	described := specified().Operations()
	var served []string
	for _, to := range routes {
		for method := range to.methods {
			if method != http.MethodHead { // which each GET has
				served = append(served, method+" "+to.path)
			}
		}
	}
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described: %q\nserved: %q", described, served)
	}
}

func checkOpenAPI(t *testing.T, encoded []byte) {
	t.Helper()
	document, err := openapitest.New(encoded)
	if err != nil {
		t.Fatal(err)
	}
	document.Check(t)
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
	types := []any{"connection.created", "connection.deleted", "connection.reauth_required", "connection.recovered", "delivery.exhausted", "project.archive", "subscription.disabled", "subscription.ended", "subscription.failing", "subscription.recovered", "task.create"}
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
	document, err := openapitest.New([]byte(e.do("", "GET", "/openapi.json", "").text))
	if err != nil {
		t.Fatal(err)
	}
	schema := document.At("webhooks", "task.create", "post", "requestBody", "content", "application/json", "schema")
	for body, valid := range map[string]bool{
		`"type":"task.create","data":{"title":"x","owner":{"name":"bob"}}`: true,
		`"type":"task.create","data":{"title":"x","a/b":{"name":"BOB"}}`:   false, // by what the schema refers to in itself
		`"type":"task.create","data":{}`:                                   false,
		`"type":"task.update","data":{"title":"x"}`:                        false,
		`"type":"task.create","data":{"title":"x"},"other":1`:              false,
		`"type":"task.create","data":{"title":"x"},"account_id":"alice"`:   true,
	} {
		push := `{"id":"evt_1","timestamp":"2026-01-01T00:00:00.5Z","resource_id":"p1",` + body + `}`
		if err := document.Validate(schema, push); (err == nil) != valid {
			t.Errorf("%s: %v", push, err)
		}
	}
}
