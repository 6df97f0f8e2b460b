package connections

import (
	"net/http"
	"os"
	"reflect"
	"slices"
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

const proxyPath = "/proxy/v1/{connection}/{path}"

// describedAs returns under which path the document has a path of the edge, or ""
// where it is not one of the handler's. Of the proxy it has what the edge says.
func describedAs(path string, got reply) string {
	if i := strings.Index(path, "/connect/v1"); i >= 0 {
		if to, _ := find(path[i+len("/connect/v1"):]); to != nil {
			return "/connect/v1" + to.path
		}
	}
	if strings.Contains(path, "/proxy/v1/") && strings.HasPrefix(got.Header.Get("Proxy-Status"), "caddy-connector;") {
		return proxyPath
	}
	return ""
}

// hold fails the test if an answer is not one that the document has. What was
// passed on to the next handler is somebody else's.
func hold(t testing.TB, got reply, sent string) {
	t.Helper()
	asked := got.Request
	path, _, _ := strings.Cut(asked.URL.EscapedPath(), "?")
	described := describedAs(path, got)
	if described == "" || got.StatusCode == 299 {
		return
	}
	answer := openapitest.Answer{Method: asked.Method, Sent: sent, Status: got.StatusCode, Header: got.Header, Body: got.text}
	if err := specified().Hold(described, answer); err != nil {
		t.Errorf("openapi.json does not have %s %s, answered %d %s: %v", asked.Method, path, got.StatusCode, got.text, err)
	}
}

// Whatever can be asked for is in the document, and the other way round.
func TestDocumentHasAllRoutes(t *testing.T) {
	served := []string{"GET " + proxyPath, "POST " + proxyPath, "PUT " + proxyPath, "PATCH " + proxyPath, "DELETE " + proxyPath}
	for _, to := range routes {
		for method := range to.methods {
			if method != http.MethodHead { // which each GET has
				served = append(served, method+" /connect/v1"+to.path)
			}
		}
	}
	slices.Sort(served)
	if described := specified().Operations(); !slices.Equal(described, served) {
		t.Errorf("described: %q\nserved: %q", described, served)
	}
}

func TestDocumentIsOpenAPI(t *testing.T) { specified().Check(t) }

func TestDocumentOfAConfig(t *testing.T) {
	a := newAPI(t, nil)
	site := a.block("zendesk", "auth none") + a.block("a-1", "auth none")
	e := start(t, site)
	got := e.do("", "GET", "/api/connect/v1/openapi.json", "")
	got.is(t, http.StatusOK, "")
	document, err := openapitest.New([]byte(got.text))
	if err != nil {
		t.Fatal(err)
	}
	document.Check(t)
	if enum := document.At("components", "schemas", "ConnectorID", "enum").Value; !reflect.DeepEqual(enum, []any{"a-1", "zendesk"}) {
		t.Errorf("connectors: %v", enum)
	}
	if strings.Contains(got.text, a.URL) {
		t.Error("it has the API's address")
	}
	e.do("", "HEAD", "/api/connect/v1/openapi.json", "").is(t, http.StatusOK, "")
	e.do("", "GET", "/api/connect/v1/o/alice/openapi.json", "").is(t, 299, "")
	e.do("", "POST", "/api/connect/v1/openapi.json", "{}").is(t, http.StatusMethodNotAllowed, "method_not_allowed")
	for prefix, want := range map[string]string{"/": "/", "/v2/x": "/v2/x"} {
		e.load(site + "prefix " + prefix)
		got := e.do("", "GET", strings.TrimSuffix(prefix, "/")+"/connect/v1/openapi.json", "")
		got.is(t, http.StatusOK, "")
		if servers := got.body["servers"]; !reflect.DeepEqual(servers, []any{jsonObject{"url": want}}) {
			t.Errorf("servers: %v, want %s", servers, want)
		}
	}
}

// Every code, stage, member and status that the document has is in the reference,
// too.
func TestReference(t *testing.T) {
	reference, err := os.ReadFile("../docs/connections.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	add := func(values any) {
		list, _ := values.([]any)
		for _, word := range list {
			words = append(words, word.(string))
		}
	}
	for name := range specified().At("components", "responses").Value.(jsonObject) {
		schema := specified().At("components", "responses", name, "content", "application/problem+json", "schema").Value.(jsonObject)
		code := schema["properties"].(jsonObject)["code"].(jsonObject)
		add(code["enum"])
		if only, ok := code["const"]; ok {
			add([]any{only})
		}
	}
	schemas := specified().At("components", "schemas").Value.(jsonObject)
	add(schemas["Stage"].(jsonObject)["enum"])
	add(schemas["Status"].(jsonObject)["enum"])
	add(schemas["SkipReason"].(jsonObject)["enum"])
	for _, name := range []string{
		"Connection", "Page", "TestResult", "Connector", "ConnectorTestRequest", "ConnectorTestResult", "OperationResult", "SkippedOperation", "Difference",
	} {
		for member := range schemas[name].(jsonObject)["properties"].(jsonObject) {
			words = append(words, member)
		}
	}
	if len(words) < 70 {
		t.Fatalf("%d words", len(words))
	}
	for _, word := range words {
		if !strings.Contains(string(reference), "`"+word+"`") && !strings.Contains(string(reference), `"`+word+`"`) {
			t.Errorf("the reference lacks %s", word)
		}
	}
}
