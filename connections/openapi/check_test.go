package openapi

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func told(r Result) []string {
	var found []string
	for _, d := range r.Differences {
		found = append(found, fmt.Sprintf("%s %s %q %q", d.Where, d.Rule, d.Want, d.Got))
	}
	return found
}

const (
	jsonType = "application/json; charset=utf-8"
	ticket   = `{"id":1,"subject":"x"}`
)

func TestCheck(t *testing.T) {
	helpdesk, ledger := parsed(t, string(file(t, "helpdesk.yaml"))), parsed(t, string(file(t, "ledger.json")))
	get := func(path, query string, status int, body string) Call {
		return Call{Method: "GET", Path: path, Query: query, Header: []string{"X-TRACE"}, Status: status, ResponseType: jsonType, Body: []byte(body)}
	}
	account := func(mediaType, body string) Call {
		return Call{Method: "GET", Path: "/accounts/1", Status: 200, ResponseType: mediaType, Body: []byte(body)}
	}
	for name, test := range map[string]struct {
		document *Document
		call     Call
		path     string
		want     []string
	}{
		"as documented": {helpdesk, get("/api/v2/tickets/1", "", 200, ticket), "/api/v2/tickets/{ticket_id}", nil},
		"concrete before templated": {helpdesk, get("/api/v2/tickets/count.json", "", 200, `{"count":0}`), "/api/v2/tickets/count.json",
			[]string{`response.body.count exclusiveMinimum "" ""`}},
		"unknown path":      {helpdesk, get("/api/v2/secret-id", "", 200, `{}`), "", []string{`request.path path "a path of the document" "another"`}},
		"empty variable":    {helpdesk, get("/api/v2/tickets/", "", 200, `{}`), "", []string{`request.path path "a path of the document" "another"`}},
		"unknown method":    {helpdesk, Call{Method: "PATCH", Path: "/api/v2/tickets/1"}, "/api/v2/tickets/{ticket_id}", []string{`request.method method "DELETE, GET" "another"`}},
		"method of a later": {helpdesk, Call{Method: "DELETE", Path: "/api/v2/tickets/count.json", Status: 204}, "/api/v2/tickets/{ticket_id}", nil},
		"parameters missing": {helpdesk, Call{Method: "GET", Path: "/api/v2/tickets", Query: "Status=1", Status: 200, ResponseType: jsonType, Body: []byte(`{"tickets":[]}`)},
			"/api/v2/tickets", []string{`request.query.status parameter "present" "missing"`, `request.header.X-Trace parameter "present" "missing"`}},
		"parameters":        {helpdesk, get("/api/v2/tickets", "a=%zz&status=", 200, `{"tickets":[],"next_page":null}`), "/api/v2/tickets", nil},
		"deep parameter":    {helpdesk, get("/api/v2/tickets", "status[a]=1", 200, `{"tickets":[]}`), "/api/v2/tickets", nil},
		"status":            {helpdesk, get("/api/v2/tickets/1", "", 500, ``), "/api/v2/tickets/{ticket_id}", []string{`response.status status "200" "500"`}},
		"range of statuses": {helpdesk, get("/api/v2/tickets", "status", 404, `{"error":1}`), "/api/v2/tickets", []string{`response.body.error type "string" "number"`}},
		"default, merged": {helpdesk, Call{Method: "POST", Path: "/api/v2/tickets", Header: []string{"x-trace"}, Type: jsonType, Status: 500, ResponseType: jsonType, Body: []byte(`{}`)},
			"/api/v2/tickets", []string{`response.body.error required "present" "missing"`}},
		"no body": {helpdesk, Call{Method: "POST", Path: "/api/v2/tickets", Header: []string{"x-trace"}, Status: 201, ResponseType: jsonType, Body: []byte(ticket)},
			"/api/v2/tickets", []string{`request.content_type content_type "application/json" "no body"`}},
		"type of the body": {helpdesk, Call{Method: "POST", Path: "/api/v2/tickets", Header: []string{"x-trace"}, Type: "text/xml; x=secret", Status: 201, ResponseType: jsonType, Body: []byte(ticket)},
			"/api/v2/tickets", []string{`request.content_type content_type "application/json" "text/xml"`}},
		"a body": {helpdesk, Call{Method: "DELETE", Path: "/api/v2/tickets/1", Type: "text/xml", Status: 204}, "/api/v2/tickets/{ticket_id}",
			[]string{`request.content_type content_type "no body" "text/xml"`}},
		"type of the answer": {helpdesk, Call{Method: "GET", Path: "/api/v2/tickets/1", Status: 200, ResponseType: "text/html", Body: []byte("<p>")}, "/api/v2/tickets/{ticket_id}",
			[]string{`response.content_type content_type "application/json" "text/html"`}},
		"no type of the answer": {helpdesk, Call{Method: "GET", Path: "/api/v2/tickets/1", Status: 200}, "/api/v2/tickets/{ticket_id}",
			[]string{`response.content_type content_type "application/json" "none"`}},
		"no JSON": {helpdesk, get("/api/v2/tickets/1", "", 200, `{"id":`), "/api/v2/tickets/{ticket_id}", []string{`response.body body "JSON" "something else"`}},
		"schema": {helpdesk, get("/api/v2/tickets/1", "", 200,
			`{"id":"secret","subject":"secretsecret","priority":"secret","parent":{"id":1.5,"subject":""},"assignee":{"name":1,"secret":1},"followers":[{},{"name":"x","e-mail address":0}]}`),
			"/api/v2/tickets/{ticket_id}", []string{
				`response.body.assignee anyOf "" ""`, `response.body.followers[0].name required "present" "missing"`,
				`response.body.followers[1]["e-mail address"] type "string" "number"`, `response.body.id type "integer" "string"`,
				`response.body.parent.id type "integer" "number"`, `response.body.priority enum "" ""`, `response.body.subject maxLength "" ""`,
			}},
		"unknown property": {helpdesk, get("/api/v2/tickets/1", "", 200, `{"id":1,"subject":"x","followers":[{"name":"x","secret":1}],"secret":{"more":1}}`), "/api/v2/tickets/{ticket_id}",
			[]string{`response.body.followers[0].* additionalProperties "absent" "present"`}},
		"null": {helpdesk, get("/api/v2/tickets/1", "", 200, `{"id":1,"subject":"x","priority":null,"assignee":null}`), "/api/v2/tickets/{ticket_id}", nil},
		"3.1":  {ledger, account("application/vnd.ledger+json", `{"id":"acc_x","kind":"asset","amount":1e2,"owner":"x","x-a":"b"}`), "/accounts/{id}", nil},
		"3.1, wrong": {ledger, account("application/vnd.ledger+json", `{"id":"x","kind":"secret","amount":0,"owner":{},"x-secret":1}`), "/accounts/{id}", []string{
			`response.body.* type "string" "number"`, `response.body.amount exclusiveMinimum "" ""`, `response.body.id pattern "" ""`,
			`response.body.kind const "" ""`, `response.body.owner anyOf "" ""`,
		}},
		"3.1, null":  {ledger, account("application/vnd.ledger+json", `null`), "/accounts/{id}", nil},
		"other type": {ledger, account("text/csv", `1;2`), "/accounts/{id}", nil},
		"too deep":   {ledger, account("application/vnd.ledger+json", strings.Repeat("[", 100)+strings.Repeat("]", 100)), "/accounts/{id}", []string{`response.body unchecked "" "too large, or too intricate"`}},
		"too large":  {ledger, account("application/vnd.ledger+json", `"`+strings.Repeat("a", MaxBody)+`"`), "/accounts/{id}", []string{`response.body unchecked "" "too large, or too intricate"`}},
		"too many":   {ledger, account("application/vnd.ledger+json", `[1`+strings.Repeat(",1", maxBodyParts)+`]`), "/accounts/{id}", []string{`response.body unchecked "" "too large, or too intricate"`}},
		"huge number": {ledger, account("application/vnd.ledger+json", `{"amount":1e999999999}`), "/accounts/{id}",
			[]string{`response.body unchecked "" "too large, or too intricate"`}},
	} {
		got := test.document.Check(test.call)
		if !slices.Equal(told(got), test.want) || got.Path != test.path || got.More {
			t.Errorf("%s: %s %v\n%s\nwant %s\n%s", name, got.Path, got.More, strings.Join(told(got), "\n"), test.path, strings.Join(test.want, "\n"))
		}
		if strings.Contains(fmt.Sprint(got), "secret") {
			t.Errorf("%s: a value is told: %v", name, got)
		}
	}
}

func TestDifferencesAreBounded(t *testing.T) {
	d := parsed(t, string(file(t, "helpdesk.yaml")))
	call := Call{Method: "GET", Path: "/api/v2/tickets/1", Status: 200, ResponseType: jsonType,
		Body: []byte(`{"id":1,"subject":"x","followers":[{}` + strings.Repeat(",{}", 1000) + `]}`)}
	if got := d.Check(call); len(got.Differences) != maxDifferences || !got.More || got.OperationID != "ShowTicket" {
		t.Errorf("%v", got)
	}
}

// A schema that is in itself twice is applied as often as there are ways to it.
func TestIntricateSchemaIsNotCheckedForever(t *testing.T) {
	for name, schema := range map[string]string{
		"by depth": `{"properties": {"a": {"allOf": [{"$ref": "#/components/schemas/S"}, {"$ref": "#/components/schemas/S"}]}}}`,
		"in place": `{"allOf": [{"$ref": "#/components/schemas/S"}, {"$ref": "#/components/schemas/S"}]}`,
		"chain":    `{"$ref": "#/components/schemas/C0"}`,
	} {
		chain := ""
		for i := range 60 {
			chain += fmt.Sprintf(`"C%d": {"allOf": [{"$ref": "#/components/schemas/C%d"}, {"$ref": "#/components/schemas/C%d"}]}, `, i, i+1, i+1)
		}
		d := parsed(t, `{"openapi": "3.1.0", "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema":
			{"$ref": "#/components/schemas/S"}}}}}}}}, "components": {"schemas": {`+chain+`"C60": {"type": "string"}, "S": `+schema+`}}}`)
		body := strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60)
		got := told(d.Check(Call{Method: "GET", Path: "/a", Status: 200, ResponseType: jsonType, Body: []byte(body)}))
		want := []string{`response.body unchecked "" "too large, or too intricate"`}
		if name == "in place" {
			want = nil // nothing is said of the value
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Of a schema that is one of its own parts, the other parts are checked.
func TestSchemaInItself(t *testing.T) {
	d := parsed(t, `{"openapi": "3.0.1", "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}}}}},
		"components": {"schemas": {
			"Pet": {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}, "friend": {"$ref": "#/components/schemas/Pet"}},
				"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]},
			"Cat": {"allOf": [{"$ref": "#/components/schemas/Pet"}, {"required": ["lives"], "properties": {"lives": {"type": "integer"}}}]},
			"Dog": {"allOf": [{"$ref": "#/components/schemas/Pet"}, {"required": ["barks"]}]}}}}`)
	for body, want := range map[string][]string{
		`{"kind":"cat","lives":9}`: nil,
		`{"lives":9}`:              {`response.body.kind required "present" "missing"`},
		`{"kind":"cow"}`:           {`response.body oneOf "" ""`},
		`{"kind":"cat","lives":9,"friend":{"kind":1,"lives":1}}`: {`response.body.friend.kind type "string" "number"`},
	} {
		got := told(d.Check(Call{Method: "GET", Path: "/a", Status: 200, ResponseType: jsonType, Body: []byte(body)}))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// Words of a media type that are none of the usual ones may be a secret.
func TestShownType(t *testing.T) {
	for mediaType, want := range map[string]string{
		"": "none", "text/html": "text/html", "application/problem+json": "application/problem+json", "application/vnd.secret+json": "application/*+json",
		"image/svg+xml": "image/*+xml", "text/secret": "text/*", "secret/json": "another", "secret": "another", "secret+json": "another",
	} {
		if got := shownType(mediaType); got != want {
			t.Errorf("%q: %q, want %q", mediaType, got, want)
		}
	}
}

func TestCheckInParallel(t *testing.T) {
	d := parsed(t, string(file(t, "helpdesk.yaml")))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := d.Check(Call{Method: "GET", Path: "/api/v2/tickets/1", Status: 200, ResponseType: jsonType, Body: []byte(`{"id":""}`)}); len(got.Differences) != 2 {
				t.Errorf("%v", got)
			}
		})
	}
	all.Wait()
}

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"/", "/", true}, {"/", "", true}, {"/a", "/a", true}, {"/a", "/a/", false}, {"/a/", "/a", false}, {"/a", "/A", false},
		{"/{x}", "/a", true}, {"/{x}", "/", false}, {"/{x}", "/a/b", false}, {"/{x}", "/a%2Fb", true}, {"/a b", "/a%20b", true}, {"/a%20b", "/a%20b", true},
		{"/{x}.json", "/a.json", true}, {"/{x}.json", "/.json", false}, {"/{x}.json", "/a.xml", false},
		{"/{x}-{y}", "/a-b", true}, {"/{x}-{y}", "/a-b-c", true}, {"/{x}-{y}", "/a-", false}, {"/{x}-{y}", "/-b", false}, {"/{x}{y}", "/ab", true}, {"/{x}{y}", "/a", false},
		{"/a{x}a", "/a", false}, {"/a{x}a", "/aa", false}, {"/a{x}a", "/aba", true}, {"/a({x},{y})", "/a(1,2)", true},
	} {
		p, ok := newPattern(test.pattern)
		if !ok || p.matches(segments(test.path)) != test.want {
			t.Errorf("%s %s: %v", test.pattern, test.path, !test.want)
		}
	}
	for _, broken := range []string{"/{", "/}", "/{a", "/a}", "/{a/b}", "/{a}}"} {
		if _, ok := newPattern(broken); ok {
			t.Errorf("%s", broken)
		}
	}
}

// Of the schemas, which refer to each other in most documents, a check reads no
// more than it needs.
func TestSchemasAreCompiledWhenTheyAreNeeded(t *testing.T) {
	d := parsed(t, `{"openapi": "3.1.0", "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}}}}},
		"components": {"schemas": {"A": {"properties": {"b": {"$ref": "#/components/schemas/B"}}}, "B": {"type": "string"}}}}`)
	for name, definition := range d.schemas.definitions {
		if members, ok := definition.(map[string]any); ok && members["type"] == "string" {
			d.schemas.definitions[name] = map[string]any{"type": 1} // which cannot be compiled
		}
	}
	for body, want := range map[string]int{`{"a":1}`: 0, `{"b":"x"}`: 1} {
		if got := d.Check(Call{Method: "GET", Path: "/a", Status: 200, ResponseType: jsonType, Body: []byte(body)}); len(got.Differences) != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func TestBoundsOfADocument(t *testing.T) {
	var inside, operations strings.Builder
	for i := range maxInside + 1 {
		fmt.Fprintf(&inside, `, "p%d": {"type": "string"}`, i)
	}
	d := parsed(t, `{"openapi": "3.1.0", "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"properties": {"a": {"type": "string"}`+
		inside.String()+`}}}}}}}}}}`)
	if got := d.Check(Call{Method: "GET", Path: "/a", Status: 200, ResponseType: jsonType, Body: []byte(`{"a":1}`)}); len(got.Differences) != 0 {
		t.Errorf("%v", got)
	}
	for i := range maxOperations + 1 {
		fmt.Fprintf(&operations, `"/p%d": {"get": {}},`, i)
	}
	d, list, err := Parse([]byte(`{"openapi": "3.1.0", "paths": {` + strings.TrimSuffix(operations.String(), ",") + `}}`))
	if err != nil || len(d.paths) != maxOperations || !strings.Contains(fmt.Sprint(list), "too many operations") {
		t.Errorf("%v %v", list, err)
	}
	var schemas strings.Builder
	for i := range maxSchemas/1000 + 1 {
		fmt.Fprintf(&schemas, `"/p%d": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"allOf": [{}%s]}}}}}}},`, i, strings.Repeat(",{}", 999))
	}
	if _, _, err := Parse([]byte(`{"openapi": "3.1.0", "paths": {` + strings.TrimSuffix(schemas.String(), ",") + `}}`)); err == nil ||
		err.Error() != "the schemas of the document are too many" {
		t.Errorf("%v", err)
	}
}
