package connections

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// documentFile has a file with a document, and returns its path.
func documentFile(t testing.TB, document string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// documented is an API with a document of these paths, which has a schema S.
func (a *api) documented(t testing.TB, name, more, paths string) string {
	t.Helper()
	return a.block(name, more+"\nopenapi "+documentFile(t, `openapi: 3.0.3
paths:
  `+strings.ReplaceAll(strings.TrimSpace(paths), "\n", "\n  ")+`
components:
  schemas:
    S: {type: object, additionalProperties: false, required: [id, name], properties: {id: {type: integer}, name: {type: string}, next: {$ref: '#/components/schemas/S'}}}
  responses:
    S: {description: One, content: {application/json: {schema: {$ref: '#/components/schemas/S'}}}}
`))
}

func testOf(api string) string { return connect + api + "/test" }

// tries tests an API, once its connection may be tested again.
func (e *edge) tries(user, api, id, operations string) reply {
	e.t.Helper()
	body := `{"connection_id":"` + id + `"}`
	if operations != "" {
		body = `{"connection_id":"` + id + `","operations":[` + operations + `]}`
	}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		got := e.do(user, "POST", testOf(api), body)
		if got.StatusCode != http.StatusTooManyRequests || time.Now().After(end) {
			got.is(e.t, http.StatusOK, "")
			return got
		}
	}
}

// outcome is what a test tells, in short: of each call what it is, its status, the
// stage that failed and the differences; and of what is skipped the reason.
func outcome(got reply) (lines []string) {
	text := func(of any) string {
		if of == nil {
			return ""
		}
		return fmt.Sprint(of)
	}
	if got.body["ok"] == true {
		lines = append(lines, "ok")
	}
	if stage := text(got.body["stage"]); stage != "" {
		lines = append(lines, stage)
	}
	for _, each := range got.body["operations"].([]any) {
		o := each.(jsonObject)
		line := []string{text(o["method"]), text(o["path"]), text(o["operation_id"]), text(o["status"]), text(o["stage"])}
		if o["ok"] == true {
			line = append(line, "ok")
		}
		for _, each := range o["differences"].([]any) {
			d := each.(jsonObject)
			line = append(line, fmt.Sprintf("%s(%s) %s/%s", d["where"], d["rule"], text(d["want"]), text(d["got"])))
		}
		lines = append(lines, strings.Join(strings.Fields(strings.Join(line, " ")), " "))
	}
	for _, each := range got.body["skipped"].([]any) {
		s := each.(jsonObject)
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("skipped %s %s: %s %s", s["method"], s["path"], s["reason"], text(s["parameter"]))))
	}
	if more := got.body["more_skipped"]; more != nil {
		lines = append(lines, "more skipped: "+text(more))
	}
	return lines
}

func (r reply) tells(t testing.TB, want ...string) {
	t.Helper()
	if got := strings.Join(outcome(r), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("%s\ntells\n%s\nwant\n%s", r.text, got, strings.Join(want, "\n"))
	}
}

const shop = `
/me:
  get: {operationId: Me, responses: {'200': {$ref: '#/components/responses/S'}}}
  head: {responses: {'200': {description: Fine}}}
/items:
  parameters: [{in: header, name: X-Shop, required: true, schema: {default: main}}, {in: header, name: X-Key, required: true}]
  get:
    parameters: [{in: query, name: page size, required: true, example: 2}, {in: query, name: after}]
    responses: {'200': {description: All, content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/S'}}}}}}
  post: {operationId: AddItem, requestBody: {required: true, content: {application/json: {}}}, responses: {'201': {$ref: '#/components/responses/S'}}}
/items/{id}:
  get: {operationId: ShowItem, parameters: [{in: path, name: id, required: true}], responses: {'200': {$ref: '#/components/responses/S'}, '404': {description: None}}}
  delete: {parameters: [{in: path, name: id, required: true, example: 1}], responses: {'204': {description: Gone}}}
/search: {get: {requestBody: {required: true, content: {application/json: {}}}, responses: {'200': {description: Found}}}}
/images: {servers: [{url: 'https://images.example'}], get: {responses: {'200': {description: All}}}}
/old?all: {get: {responses: {'200': {description: All}}}}
/.%2e/admin: {get: {responses: {'200': {description: All}}}}
/cookies: {get: {parameters: [{in: header, name: Proxy-Authorization, required: true, example: x}], responses: {'200': {description: All}}}}
`

// An API that is as its document says passes, and what cannot be called is said.
func TestConnectorTest(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			switch r.URL.Path {
			case "/v2/me", "/v2/items/7/8":
				fmt.Fprint(w, `{"id":1,"name":"x","next":{"id":2,"name":""}}`)
			case "/v2/items":
				fmt.Fprint(w, `[{"id":1,"name":"x"},{"id":2,"name":"y"}]`)
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		})
		e.start(a.documented(t, "shop", "auth api_key header X-Key", shop))
		id := e.connected("alice", "shop", `{"name":"mine","credentials":[{"type":"api_key","value":"good"}]}`)
		e.tries("alice", "shop", id, "").tells(t,
			"ok", "GET /me Me 200 ok", "HEAD /me 200 ok", "GET /items 200 ok",
			"skipped POST /items: method", "skipped GET /items/{id}: parameter id", "skipped DELETE /items/{id}: method", "skipped GET /search: body",
			"skipped GET /images: server", "skipped GET /old?all: path", "skipped GET /.%2e/admin: path", "skipped GET /cookies: parameter Proxy-Authorization")
		asked := a.seen()
		if len(asked) != 3 || asked[2].RequestURI != "/v2/items?page%20size=2" || asked[2].Header.Get("X-Shop") != "main" || asked[1].Method != "HEAD" {
			t.Errorf("asked %v", asked)
		}
		for _, each := range asked {
			if each.Header.Get("X-Key") != "good" || each.Header.Get("X-User") != "" || each.Header.Get("Accept") == "" || each.Host != strings.TrimPrefix(a.URL, "http://") {
				t.Errorf("asked %s %v", each.Host, each.Header)
			}
		}
		got := e.do("alice", "POST", "/api/connect/v1/o/alice/connectors/shop/test", `{"connection_id":"`+id+`"}`)
		if got.is(t, http.StatusTooManyRequests, "rate_limited"); got.Header.Get("Retry-After") != "1" || len(a.seen()) > 0 {
			t.Errorf("at once: %v", got.Header)
		}
		// by name, with values
		e.tries("alice", "shop", id, `{"operation_id":"ShowItem","parameters":{"id":"7/8"}},{"method":"get","path":"/items","parameters":{"after":"a&b","page size":"1 0"}},`+
			`{"operation_id":"ShowItem","parameters":{"id":"9"}},{"operation_id":"ShowItem"},{"operation_id":"ShowItem","parameters":{"id":".."}},{"operation_id":"AddItem"}`).tells(t,
			"ok", "GET /items/{id} ShowItem 200 ok", "GET /items 200 ok", "GET /items/{id} ShowItem 404 ok",
			"skipped GET /items/{id}: parameter id", "skipped GET /items/{id}: path", "skipped POST /items: method")
		asked = a.seen()
		if len(asked) != 3 || asked[0].RequestURI != "/v2/items/7%2F8" || asked[1].RequestURI != "/v2/items?page%20size=1%200&after=a%26b" {
			t.Errorf("asked %v", asked)
		}
		if got := e.do("alice", "GET", placeOf("shop", id), ""); got.body["errors"] != nil {
			t.Errorf("the connection was changed: %s", got.text)
		}
	})
}
