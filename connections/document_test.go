package connections

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/connections/openapi"
)

const described = "openapi: 3.1.0\npaths: {/me: {get: {}}}\n"

// Each error names what is wrong, and where: in the Caddyfile, and in the document.
func TestCaddyfileOfDocuments(t *testing.T) {
	block := func(lines string) string {
		return ":80 {\nconnections {\napi a {\nbase_url https://a.example\nauth none\n" + lines + "\n}\n}\n}\n"
	}
	good := documentFile(t, described)
	config, err := adapt(block("openapi " + good))
	if err != nil || !strings.Contains(string(config), `"apis":{"a":{"auth":[{"type":"none"}],"base_url":"https://a.example","openapi":"`+good+`"}}`) {
		t.Errorf("%s, %v", config, err)
	}
	large := strings.Repeat("#", openapi.MaxDocument+1)
	for lines, want := range map[string]string{
		"openapi":                                                                "wrong argument count or unexpected line ending after 'openapi', at Caddyfile:6",
		"openapi " + good + " b":                                                 "after 'b', at Caddyfile:6",
		"openapi " + good + "\nopenapi " + good:                                  "duplicate subdirective 'openapi', at Caddyfile:7",
		"openapi " + good + " {\nx\n}":                                           "'openapi' takes no block, at Caddyfile:7",
		"openapi " + t.TempDir():                                                 "is not a file, at Caddyfile:6",
		"openapi " + documentFile(t, ""):                                         "api.yaml: the document is empty, at Caddyfile:6",
		"openapi " + documentFile(t, large):                                      "api.yaml is larger than 33554432 bytes, at Caddyfile:6",
		"openapi " + documentFile(t, "a: 1\nswagger: '2.0'\n"):                   "api.yaml: line 2: this is Swagger 2; what is read is OpenAPI 3.0 and 3.1, at Caddyfile:6",
		"openapi " + documentFile(t, "openapi: 4.0.0\n"):                         `api.yaml: line 1: this is OpenAPI "4.0.0"; what is read is 3.0 and 3.1, at Caddyfile:6`,
		"openapi " + documentFile(t, "openapi: 3.0.0\npaths:\n  /a: {\n"):        "api.yaml: line 3: this is not YAML",
		"openapi " + documentFile(t, `{"openapi": "3.0.0", "openapi": "3.0.0"}`): `api.yaml: line 1: the member "openapi" is there twice, at Caddyfile:6`,
	} {
		_, err := adapt(block(lines))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at Caddyfile:") {
			t.Errorf("%.200s\n%v\nwant %s", lines, err, want)
		}
	}
	// a config may be adapted elsewhere
	if _, err := adapt(block("openapi no/such/file.yaml")); err != nil {
		t.Error(err)
	}
}

// The same where a config is written in JSON. To validate it asks nobody.
func TestJSONOfDocuments(t *testing.T) {
	remote := newAPI(t, nil)
	handler := func(file string) string {
		return `{"handler":"connections","apis":{"a":{"base_url":"` + remote.URL + `","auth":[{"type":"none"}],"openapi":"` + file + `"}}}`
	}
	for file, want := range map[string]string{
		documentFile(t, described): "",
		documentFile(t, strings.Replace(described, "get: {}", "get: {parameters: [{$ref: '"+remote.URL+"/a.yaml#/b'}], responses: {'200': {$ref: '"+remote.URL+"/c.yaml'}}}", 1)): "",
		documentFile(t, "openapi: 2\n"): "api a: openapi: ",
		"no/such/file.yaml":             "api a: openapi: stat no/such/file.yaml: no such file or directory",
	} {
		err := validated(t, handler(file))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
	if asked := remote.seen(); len(asked) > 0 {
		t.Errorf("%v was asked for", asked)
	}
}

// The file is read again with each config, and what of it is not used is said.
func TestDocumentIsReadWithTheConfig(t *testing.T) {
	a := newAPI(t, nil)
	file := documentFile(t, described)
	site := a.block("shop", "auth none\nopenapi "+file)
	e := start(t, site)
	id := e.connected("alice", "shop", `{"name":"mine"}`)
	e.tries("alice", "shop", id, "").tells(t, "GET /me 200 response.status(status) /200")
	if strings.Contains(e.logs(), "not used") {
		t.Error("there is a warning")
	}
	if err := os.WriteFile(file, []byte("openapi: 3.1.0\npaths:\n  /you: {get: {responses: {default: {$ref: 'https://evil.example/a.yaml'}}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.tries("alice", "shop", id, `{"method":"GET","path":"/me"}`) // of the config that runs
	e.load(site)
	e.tries("alice", "shop", id, "").tells(t, "ok", "GET /you 200 ok")
	if !strings.Contains(e.logs(), `"parts of an OpenAPI document are not used"`) || !strings.Contains(e.logs(), "line 3: A reference to another document is left out") {
		t.Error("there is no warning")
	}
	// one that is broken leaves the config that runs
	if err := os.WriteFile(file, []byte("openapi: 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load([]byte(strings.Replace(e.ask("GET", "/config/"), e.addr, freeAddr(t), 1)), true); err == nil || !strings.Contains(err.Error(), file+": line 1: ") {
		t.Errorf("%v", err)
	}
	e.do("alice", "GET", placeOf("shop", id), "").is(t, http.StatusOK, "")
}

// What is imported is a block that can be loaded, as it is printed.
func TestImportedBlockHasItsDocument(t *testing.T) {
	file, err := filepath.Abs("openapi/testdata/helpdesk.yaml")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	made, err := openapi.Import(content, "")
	if err != nil {
		t.Fatal(err)
	}
	config, err := adapt(":80 {\nconnections {\n" + made.Caddyfile(file) + "}\n}\n")
	if err != nil || !strings.Contains(string(config), `"openapi":"`+file+`"`) {
		t.Errorf("%s, %v", config, err)
	}
}
