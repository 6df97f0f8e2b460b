package openapi

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// operationOf returns an operation of a document.
func operationOf(t testing.TB, d *Document, method, path string) Operation {
	t.Helper()
	for o := range d.Operations() {
		if o.Method == method && o.Path == path {
			return o
		}
	}
	t.Fatalf("there is no %s %s", method, path)
	return Operation{}
}

func nothing(string, string) bool { return false }

func TestOperations(t *testing.T) {
	d := parsed(t, string(file(t, "helpdesk.yaml")))
	var got []string
	for o := range d.Operations() {
		got = append(got, strings.TrimSpace(o.ID+" "+o.Method+" "+o.Path))
	}
	want := "ListTickets GET /api/v2/tickets, CreateTicket POST /api/v2/tickets, ShowTicket GET /api/v2/tickets/{ticket_id}, " +
		"DeleteTicket DELETE /api/v2/tickets/{ticket_id}, CountTickets GET /api/v2/tickets/count.json, ShowSelf GET /api/v2/users/me.json, GET /status"
	if all := strings.Join(got, ", "); all != want {
		t.Errorf("%s\nwant %s", all, want)
	}
}

func TestRequest(t *testing.T) {
	const path, query, header = `"in": "path", "name": "id", "required": true`, `"in": "query", "name": "q", "required": true`, `"in": "header", "name": "x-q", "required": true`
	long := strings.Repeat("a", MaxValue)
	for name, test := range map[string]struct {
		path, parameters, more string
		given                  map[string]string
		want                   string // or the obstacle
	}{
		"nothing":               {"/a", ``, ``, nil, "/a ? map[]"},
		"root":                  {"/", ``, ``, nil, "/ ? map[]"},
		"optional":              {"/a", `{"in": "query", "name": "q", "example": "x"}`, ``, nil, "/a ? map[]"},
		"optional, given":       {"/a", `{"in": "query", "name": "q"}, {"in": "header", "name": "x-q"}`, ``, map[string]string{"q": "1", "X-Q": "2"}, "/a ?q=1 map[X-Q:[2]]"},
		"given":                 {"/a/{id}", `{` + path + `, "example": 1}`, ``, map[string]string{"id": "2"}, "/a/2 ? map[]"},
		"given empty":           {"/a/{id}", `{` + path + `, "example": 1}`, ``, map[string]string{"id": ""}, "parameter id"},
		"example":               {"/a/{id}", `{` + path + `, "example": 1, "schema": {"default": 2}}`, ``, nil, "/a/1 ? map[]"},
		"examples":              {"/a/{id}", `{` + path + `, "examples": {"one": {"$ref": "#/components/examples/X"}}}`, ``, nil, "/a/ex ? map[]"},
		"default":               {"/a/{id}", `{` + path + `, "schema": {"$ref": "#/components/schemas/D"}}`, ``, nil, "/a/true ? map[]"},
		"example of the schema": {"/a/{id}", `{` + path + `, "schema": {"example": "s"}}`, ``, nil, "/a/s ? map[]"},
		"examples, 3.1":         {"/a/{id}", `{` + path + `, "schema": {"examples": ["l", "m"]}}`, ``, nil, "/a/l ? map[]"},
		"an object":             {"/a/{id}", `{` + path + `, "example": {"a": 1}}`, ``, nil, "parameter id"},
		"null":                  {"/a/{id}", `{` + path + `, "example": null}`, ``, nil, "parameter id"},
		"too long":              {"/a/{id}", `{` + path + `, "example": "` + long + `a"}`, ``, nil, "parameter id"},
		"long":                  {"/a", `{` + query + `, "example": "` + long + `"}`, ``, nil, "/a ?q=" + long + " map[]"},
		"control character":     {"/a", `{` + query + `, "example": "a\nb"}`, ``, nil, "parameter q"},
		"no value":              {"/a", `{` + query + `}`, ``, nil, "parameter q"},
		"not declared":          {"/a/{id}/{more}", `{` + path + `, "example": 1}`, ``, nil, "parameter more"},
		"no name":               {"/a/{}", ``, ``, nil, "path "},
		"not required":          {"/a/{id}", `{"in": "path", "name": "id", "example": 1}`, ``, nil, "/a/1 ? map[]"},
		"cookie":                {"/a", `{"in": "cookie", "name": "c", "required": true, "example": "x"}`, ``, nil, "parameter c"},
		"cookie, given":         {"/a", `{"in": "cookie", "name": "q"}, {"in": "query", "name": "q"}`, ``, map[string]string{"q": "1"}, "/a ?q=1 map[]"},
		"header":                {"/a", `{` + header + `, "example": "é"}`, ``, nil, "/a ? map[X-Q:[é]]"},
		"no header":             {"/a", `{"in": "header", "name": "x q", "required": true, "example": "x"}`, ``, nil, "parameter x q"},
		"described elsewhere":   {"/a", `{"in": "header", "name": "authorization", "required": true}`, ``, nil, "/a ? map[]"},
		"other place":           {"/a", `{"in": "body", "name": "x", "required": true, "example": "x"}`, ``, nil, "parameter x"},
		"filled":                {"/a", `{"in": "query", "name": "key", "required": true}`, ``, map[string]string{"key": "mine"}, "/a ? map[]"},
		"escaped": {"/a b/é%2F({id}).x", `{` + path + `}, {` + query + `}`, ``, map[string]string{"id": "1/../?#% é", "q": "a b&c=+%é"},
			"/a%20b/%C3%A9%2F(1%2F..%2F%3F%23%25%20%C3%A9).x ?q=a%20b%26c%3D%2B%25%C3%A9 map[]"},
		"query in the path": {"/a?b=c", ``, ``, nil, "path "},
		"fragment":          {"/a#b", ``, ``, nil, "path "},
		"too much":          {"/a/{id}" + strings.Repeat("/{id}", 9), `{` + path + `}`, ``, map[string]string{"id": long}, "path "},
		"body":              {"/a", ``, `, "requestBody": {"required": true, "content": {}}`, nil, "body "},
		"optional body":     {"/a", ``, `, "requestBody": {"content": {}}`, nil, "/a ? map[]"},
		"other server":      {"/a", ``, `, "servers": [{"url": "https://evil.example"}]`, nil, "server "},
	} {
		d := parsed(t, `{"openapi": "3.1.0", "paths": {`+quoted(t, test.path)+`: {"get": {"parameters": [`+test.parameters+`]`+test.more+`}}}, "components": {
			"examples": {"X": {"value": "ex"}}, "schemas": {"D": {"default": true}}}}`)
		got, obstacle := operationOf(t, d, "GET", test.path).Request(test.given, func(in, name string) bool { return name == "key" })
		said := fmt.Sprintf("%s ?%s %v", got.Path, got.Query, got.Header)
		if obstacle != nil {
			said = obstacle.Reason + " " + obstacle.Parameter
		}
		if said != test.want {
			t.Errorf("%s: %.300s\nwant %.300s", name, said, test.want)
		}
	}
}

func TestTakes(t *testing.T) {
	d := parsed(t, `{"openapi": "3.1.0", "paths": {"/a/{id}": {"parameters": [{"in": "path", "name": "id"}, {"in": "cookie", "name": "c"}, {"in": "header", "name": "accept"}],
		"get": {"parameters": [{"in": "query", "name": "q"}, {"in": "header", "name": "x-q"}]}}}}`)
	o := operationOf(t, d, "GET", "/a/{id}")
	for name, want := range map[string]bool{"id": true, "q": true, "X-Q": true, "c": false, "Accept": false, "accept": false, "other": false, "": false} {
		if o.Takes(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// What a document says of a server of a path holds for its operations.
func TestOtherServer(t *testing.T) {
	d := parsed(t, `{"openapi": "3.1.0", "paths": {"/a": {"servers": [{"url": "https://evil.example"}], "get": {}}, "/b": {"get": {}}}}`)
	for path, want := range map[string]bool{"/a": true, "/b": false} {
		if _, obstacle := operationOf(t, d, "GET", path).Request(nil, nothing); (obstacle != nil) != want {
			t.Errorf("%s: %v", path, obstacle)
		}
	}
}

// A request is one of the operation that it was made for, or of one that comes
// before it, and it has what that requires.
func FuzzRequest(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, "ticket_id", "1")
		f.Add(seed, "id", "../a b")
	}
	f.Fuzz(func(t *testing.T, document, name, value string) {
		d, _, err := Parse([]byte(document))
		if err != nil {
			return
		}
		for o := range d.Operations() {
			r, obstacle := o.Request(map[string]string{name: value}, nothing)
			if obstacle != nil {
				continue
			}
			if !utf8.ValidString(r.Path) || strings.ContainsAny(r.Path+r.Query, " ?#\r\n\x00") || r.Path[0] != '/' {
				t.Errorf("%q?%q", r.Path, r.Query)
			}
			var names []string
			for name := range r.Header {
				names = append(names, name)
			}
			got := d.Check(Call{Method: o.Method, Path: r.Path, Query: r.Query, Header: names, Status: 200})
			for _, difference := range got.Differences {
				if got.Path == "" || got.Path == o.Path && difference.Rule == "parameter" {
					t.Errorf("%s %s, as %q?%q: %v", o.Method, o.Path, r.Path, r.Query, difference)
				}
			}
		}
	})
}
