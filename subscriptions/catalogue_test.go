package subscriptions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

const taskSchema = `{
	"type": "object",
	"properties": {
		"title": {"type": "string", "maxLength": 5, "examples": ["Paint"]},
		"count": {"type": "integer", "minimum": 1, "default": 2},
		"owner": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/person"}]},
		"a/b": {"$ref": "#/$defs/person"},
		"none": false
	},
	"required": ["title"],
	"additionalProperties": false,
	"$defs": {"person": {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}}
}`

// catalogueSite is a site whose event_type task.create has a block, and whose
// project.archive has none.
func catalogueSite(block string) string {
	return `route {
	subscriptions {
		user {http.request.header.X-User}
		event_type task.create {
			` + block + `
		}
		event_types project.archive
		resource project {
			public
		}
	}
	publish_events {
		user {http.request.header.X-User}
		max_events 3
	}
	respond "next" 299
}`
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func publishable(data string) string {
	return `{"type":"task.create","resource_id":"p1","data":` + data + `}`
}

func TestDataIsCheckedAgainstItsSchema(t *testing.T) {
	e := start(t, catalogueSite("schema "+writeFile(t, taskSchema)))
	long := strings.Repeat("x", 300)
	for data, want := range map[string]string{
		`{"title":"ok"}`: "",
		`{"title":"ok","count":1,"a/b":{"name":"x"}}`:                "",
		`{"title":"ok","count":1e308}`:                               "",
		`{"title":"secret-value"}`:                                   "at '/title' is not what the schema of its type says: maxLength.",
		`{"title":1}`:                                                "at '/title' is not what the schema of its type says: type.",
		`{}`:                                                         "at '' is not what the schema of its type says: required.",
		`{"title":"ok","count":0}`:                                   "at '/count' is not what the schema of its type says: minimum.",
		`{"title":"ok","count":1.5}`:                                 "at '/count' is not what the schema of its type says: type.",
		`{"title":"ok","owner":7}`:                                   "at '/owner' is not what the schema of its type says: anyOf.",
		`{"title":"ok","a/b":{"name":"SECRET"}}`:                     "at '/a~1b/name' is not what the schema of its type says: pattern.",
		`{"title":"ok","none":1}`:                                    "at '/none' is not what the schema of its type says: false.",
		`{"title":"ok","` + long + `":1}`:                            "at '' is not what the schema of its type says: additionalProperties.",
		`{"title":"too long","count":0}`:                             "at '/count' is not what the schema of its type says: minimum.",
		`{"title":"ok","count":1e1000001}`:                           "too long a number",
		`{"title":"ok","count":1e309}`:                               "too long a number",
		`{"title":"ok","count":1E-309}`:                              "too long a number",
		`{"title":"ok","count":1e99999999999999999999}`:              "too long a number",
		`{"title":"ok","count":` + strings.Repeat("1", 65) + `}`:     "too long a number",
		strings.Repeat(`{"a":`, 64) + `{}` + strings.Repeat(`}`, 64): "nested too deeply",
	} {
		got := e.do("app", "POST", "/events", publishable(data))
		if want == "" {
			got.is(t, http.StatusAccepted, "")
			continue
		}
		got.is(t, http.StatusUnprocessableEntity, "event_data_invalid")
		message := got.body["message"].(string)
		if !strings.HasPrefix(message, "At index 0: The event's data ") || !strings.Contains(message, want) || strings.Contains(strings.ToLower(got.text), "secret") {
			t.Errorf("%s: message %q, want %q", data, message, want)
		}
	}
	// one that is wrong keeps all of them from being published
	before := len(e.bodies())
	got := e.do("app", "POST", "/events", "["+publishable(`{"title":"ok"}`)+","+publishable(`{}`)+"]")
	got.is(t, http.StatusUnprocessableEntity, "event_data_invalid")
	if !strings.HasPrefix(got.body["message"].(string), "At index 1: ") || len(e.bodies()) != before {
		t.Errorf("answer %s", got.text)
	}
	if logs := e.logs(); strings.Contains(logs, "secret-value") || strings.Contains(logs, "panic") {
		t.Error("the logs have what is wrong")
	}
}

func TestALongLocationIsCut(t *testing.T) {
	name := strings.Repeat("ä", 200)
	schema := `{"additionalProperties":{"additionalProperties":false}}`
	e := start(t, catalogueSite("schema "+writeFile(t, schema)))
	got := e.do("app", "POST", "/events", publishable(`{"`+name+`":{"x":1}}`))
	got.is(t, http.StatusUnprocessableEntity, "event_data_invalid")
	if message := got.body["message"].(string); !strings.Contains(message, "'/"+strings.Repeat("ä", 127)+"…'") {
		t.Errorf("message %q", message)
	}
}

func TestTypesThatAreNotInTheCatalogue(t *testing.T) {
	e := start(t, catalogueSite(""))
	other := `{"type":"task.delete","resource_id":"p1","data":{}}`
	e.do("app", "POST", "/events", publishable(`{"anything":1}`)).is(t, http.StatusAccepted, "")
	e.do("app", "POST", "/events", other).is(t, http.StatusUnprocessableEntity, "event_type_unknown")
	e.do("app", "POST", "/events", `{"type":"task","resource_id":"p1","data":{}}`).is(t, http.StatusUnprocessableEntity, "event_type_unknown")
	got := e.do("app", "POST", "/events", publishable(`{}`)+"\n"+other, "Content-Type: application/x-ndjson")
	got.is(t, http.StatusUnprocessableEntity, "event_type_unknown")
	if !strings.HasPrefix(got.body["message"].(string), "At index 1: ") {
		t.Errorf("message %q", got.body["message"])
	}

	// another node has the subscribers
	e.load("", "publish_events {\nuser {http.request.header.X-User}\n}")
	e.do("app", "POST", "/events", other).is(t, http.StatusAccepted, "")
	e.load("", catalogueSite(""))
	e.do("app", "POST", "/events", other).is(t, http.StatusUnprocessableEntity, "event_type_unknown")
}

// The catalogue is that of all handlers of the config, wherever they are.
func TestTheCatalogueOfSeveralHandlers(t *testing.T) {
	handler := `subscriptions {
		prefix /%s
		user {http.request.header.X-User}
		event_type %s {
			schema %s
		}
		resource project {
			public
		}
	}
	`
	object := func(member string) string { return writeFile(t, `{"required":["`+member+`"]}`) }
	site := "route {\npublish_events {\nuser {http.request.header.X-User}\n}\n" +
		fmt.Sprintf(handler, "a", "task.create", object("a")) +
		fmt.Sprintf(handler, "b", "task.create", object("b")) +
		fmt.Sprintf(handler, "c", "task.update", object("c")) + "}"
	e := start(t, site)
	for data, status := range map[string]int{`{"a":1}`: 422, `{"b":1}`: 422, `{"a":1,"b":1}`: 202} {
		if got := e.do("app", "POST", "/events", publishable(data)); got.StatusCode != status {
			t.Errorf("%s: %d %s", data, got.StatusCode, got.text)
		}
	}
	e.do("app", "POST", "/events", `{"type":"task.update","resource_id":"p1","data":{"c":1}}`).is(t, http.StatusAccepted, "")
	e.do("app", "POST", "/events", `{"type":"task.delete","resource_id":"p1","data":{}}`).is(t, http.StatusUnprocessableEntity, "event_type_unknown")
	// each shows its own
	if got := e.do("alice", "GET", "/c/event_types", ""); len(got.body["data"].([]any)) != 1+ownTypes {
		t.Errorf("types: %s", got.text)
	}
}

var ownTypes = len(subscriptionTypes) + len(connectionTypes)

func TestEventTypes(t *testing.T) {
	sample := writeFile(t, ` {"title": "Mow", "count": 3}`)
	e := start(t, catalogueSite("description \"A task was created\"\nschema "+writeFile(t, taskSchema)+"\nsample "+sample))
	got := e.do("alice", "GET", "/event_types", "")
	got.is(t, http.StatusOK, "")
	var schema any
	if err := json.Unmarshal([]byte(taskSchema), &schema); err != nil {
		t.Fatal(err)
	}
	data := map[string]any{"title": "Mow", "count": 3.0}
	want := map[string]any{"data": []any{
		map[string]any{"type": "project.archive", "description": ""},
		map[string]any{"type": "task.create", "description": "A task was created", "schema": schema, "sample": data},
	}}
	listed, _ := got.body["data"].([]any)
	platforms := len(listed) - ownTypes
	if platforms < 0 || !reflect.DeepEqual(listed[:platforms], want["data"]) {
		t.Fatalf("types: %s", got.text)
	}
	for _, one := range listed[platforms:] { // of the edge itself
		one := one.(map[string]any)
		declared, resourceType := operationalType(one["type"].(string))
		if declared == nil || one["resource_type"] != resourceType || one["description"] == "" {
			t.Errorf("type %v", one)
		}
		shown := e.do("alice", "GET", "/events/"+one["type"].(string)+"/sample", "")
		if shown.is(t, http.StatusOK, ""); !strings.Contains(shown.text, `"resource_type":"`+resourceType+`"`) || !strings.Contains(shown.text, string(declared.sample)) {
			t.Errorf("sample %s", shown.text)
		}
	}
	e.do("", "GET", "/event_types", "").is(t, http.StatusUnauthorized, "user_missing")

	for eventType, want := range map[string]any{"task.create": data, "project.archive": map[string]any{}} {
		got := e.do("alice", "GET", "/events/"+eventType+"/sample", "")
		got.is(t, http.StatusOK, "")
		var pushes []map[string]any
		if err := json.Unmarshal([]byte(got.text), &pushes); err != nil || len(pushes) != 1 {
			t.Fatalf("sample %s: %v", got.text, err)
		}
		push := pushes[0]
		if push["type"] != eventType || !validEventID(push["id"].(string)) || push["resource_id"] != "sample" || push["timestamp"] == "" ||
			!reflect.DeepEqual(push["data"], want) {
			t.Errorf("sample %s, want %v", got.text, want)
		}
	}
	for _, path := range []string{"/events/task.delete/sample", "/events/task.*/sample", "/events/task%2Ecreate/sample"} {
		e.do("alice", "GET", path, "").is(t, http.StatusNotFound, "event_type_unknown")
	}
	e.do("alice", "GET", "/events/task.create", "").is(t, 299, "")
}

func TestSampleOfASchema(t *testing.T) {
	for schema, want := range map[string]string{
		taskSchema: `{"count":2,"title":"Paint"}`,
		`{"examples":[{"a":1},{"a":2}],"default":{"a":3}}`:                    `{"a":1}`,
		`{"default":{"a":3},"properties":{"b":{"default":1}}}`:                `{"a":3}`,
		`{"properties":{"b":{"properties":{"c":{"default":null}}},"d":true}}`: `{"b":{"c":null}}`,
		`{"examples":[7]}`:      ``,
		`{"examples":[]}`:       ``,
		`{"type":"object"}`:     ``,
		`true`:                  ``,
		`{"properties":["x"]}`:  ``,
		`{"examples":{"a":{}}}`: ``,
	} {
		if got := string(exampleOf(json.RawMessage(schema))); got != want {
			t.Errorf("%s: %s, want %s", schema, got, want)
		}
	}
}

// validate does with a site what `caddy validate` does.
func validate(t *testing.T, site string) error {
	t.Helper()
	adapted, err := adapt("{\nlog default {\noutput discard\n}\nconnector {\ndatabase sqlite " + t.TempDir() + "/db\n}\n}\n:80 {\n" + site + "\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	config := new(caddy.Config)
	if err := json.Unmarshal(adapted, config); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(config)
}

func TestFilesOfTheCatalogue(t *testing.T) {
	schema := writeFile(t, taskSchema)
	for block, want := range map[string]string{
		"schema /no/such/file":                                                                        "event type 'task.create': schema: stat /no/such/file",
		"schema " + t.TempDir():                                                                       "is not a file",
		"schema " + writeFile(t, "{"):                                                                 "is not JSON",
		"schema " + writeFile(t, "{} {}"):                                                             "is not JSON",
		"schema " + writeFile(t, `"x"`):                                                               "schema: ",
		"schema " + writeFile(t, `{"type":"nope"}`):                                                   "schema: ",
		"schema " + writeFile(t, `{"pattern":"("}`):                                                   "schema: ",
		"schema " + writeFile(t, `{"$ref":"https://127.0.0.1/x.json"}`):                               "can only refer to itself",
		"schema " + writeFile(t, `{"$ref":"other.json"}`):                                             "can only refer to itself",
		"schema " + writeFile(t, `{"$ref":"file:///etc/passwd"}`):                                     "can only refer to itself",
		"schema " + writeFile(t, `{"$schema":"https://127.0.0.1/x"}`):                                 "can only refer to itself",
		"schema " + writeFile(t, strings.Repeat(" ", maxCatalogueFile-1)+"{}"):                        "is larger than 262144 bytes",
		"sample /no/such/file":                                                                        "event type 'task.create': sample: stat /no/such/file",
		"sample " + writeFile(t, "[]"):                                                                "is not a JSON object",
		"sample " + writeFile(t, `{}`) + "\nschema " + schema:                                         "sample: ",
		"sample " + writeFile(t, `{"title":"x"}`) + "\nschema " + schema:                              "",
		"schema " + writeFile(t, `{"$id":"https://x.example/y","$ref":"#/$defs/a","$defs":{"a":{}}}`): "",
		"schema " + writeFile(t, `{"$schema":"http://json-schema.org/draft-07/schema#"}`):             "",
		"schema " + writeFile(t, strings.Repeat(" ", maxCatalogueFile-2)+"{}"):                        "",
	} {
		err := validate(t, catalogueSite(block))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			content, _ := os.ReadFile(strings.Fields(block)[1])
			t.Errorf("%s %.50s: %v, want %q", block, content, err, want)
		}
	}
}
