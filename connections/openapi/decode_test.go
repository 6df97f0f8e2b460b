package openapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	const head = "openapi: 3.1.0\ninfo: {}\n"
	laughs := head + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	for name, test := range map[string]struct{ document, want string }{
		"empty":          {" \n", "the document is empty"},
		"only a comment": {"# a\n", "the document is empty"},
		"a list":         {"- a\n", "line 1: this is no OpenAPI document"},
		"text":           {"just some text", "line 1: this is no OpenAPI document"},
		"no version":     {"info: {}\n", "line 1: this is no OpenAPI document: it has no member openapi"},
		"Swagger":        {"info: {}\nswagger: '2.0'\n", "line 2: this is Swagger 2"},
		"3.2":            {"\nopenapi: 3.2.0\n", `line 2: this is OpenAPI "3.2.0"`},
		"4":              {"{\n\"openapi\": \"4.0.0\\n\"}", `line 2: this is OpenAPI "4.0.0\n"`},
		"broken YAML":    {"openapi: 3.1.0\ninfo: [\n}\n", ": this is not YAML: did not find expected node content"},
		"broken JSON":    {"{\"openapi\": \"3.1.0\",\n\"info\": {]}", "line 2: this is not JSON"},
		"cut JSON":       {"{\"openapi\": \"3.1.0\",\n\"info\": {", "line 2: this is not JSON"},
		"JSON and more":  {"{\"openapi\": \"3.1.0\"}\n{}", "there is more behind the end"},
		"two documents":  {head + "---\n" + head, "line 3: there is more behind the end"},
		"twice":          {head + "paths: {}\npaths: {}\n", `line 4: the member "paths" is there twice`},
		"twice in JSON":  {"{\"openapi\": \"3.1.0\",\n\"paths\": {},\n\"paths\": {}}", `line 3: the member "paths" is there twice`},
		"deep":           {head + "paths: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "line 3: the document is nested deeper than 128 levels"},
		"deep JSON":      {`{"openapi": "3.1.0", "paths": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}", "nested deeper"},
		"very deep":      {head + "paths: " + strings.Repeat("[", 500_000), "not YAML"},
		"very deep JSON": {`{"a": ` + strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000) + "}", "nested deeper"},
		"laughs":         {laughs, "too many parts"},
		"in itself":      {head + "a: &a [*a]\n", "nested deeper"},
		"in itself more": {head + "a: &a [*a, *a]\n", "nested deeper"},
		"merged":         {head + "a: &a {<<: *a, b: *a}\n", "nested deeper"},
		"unknown alias":  {head + "a: *a\n", "unknown anchor"},
		"too large":      {head + "a: " + strings.Repeat("a", MaxDocument), "larger than 32 MiB"},
		"many parts":     {head + "a: [" + strings.Repeat("1,", maxParts+1) + "]", "too many parts"},
		"many marks":     {head + "a: [" + strings.Repeat(",,", maxParts+1) + "]", "too many parts"},
		"a strange name": {head + "? [a]\n: b\n", "the name of a member is no text"},
		"NUL":            {head + "a: \x00", "not YAML"},
		"no UTF-8":       {head + "a: \xff", "not YAML"},
	} {
		_, _, err := Parse([]byte(test.document))
		wrong, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(wrong.Error(), test.want) {
			t.Errorf("%s: %.200v, want %s", name, err, test.want)
		}
		if err != nil && (len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\x00")) {
			t.Errorf("%s: %q", name, err)
		}
	}
}

func TestYAMLIsReadAsJSONIs(t *testing.T) {
	root, err := decode([]byte("a: 0x10\nb: 1_0\nc: 1.5\nd: .inf\ne: ~\nf: yes\ng: 2026-01-02\nh: '1'\ni: TRUE\n200: x\nj: &j {k: 1, l: 2}\nm: {<<: *j, k: 3}\nn: {<<: [*j, {o: 4}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "map[200:x a:16 b:10 c:1.5 d:.inf e:<nil> f:yes g:2026-01-02 h:1 i:true j:map[k:1 l:2] m:map[k:3 l:2] n:map[k:1 l:2 o:4]]"
	if got := fmt.Sprint(root.value()); got != want {
		t.Errorf("%s", got)
	}
}

// No reference leads to a file or to another host.
func TestReferences(t *testing.T) {
	for ref, want := range map[string]string{
		"other.yaml#/a": "A reference to another document is left out", "file:///etc/passwd": "A reference to another document",
		"http://127.0.0.1:1/x": "A reference to another document", "": "A reference to another document", "/etc/passwd": "A reference to another document",
		"#/no": "A reference leads to a part that is not there", "#/paths/0": "A reference leads to a part that is not there",
		"#/components/schemas/Loop": "", "#": "", "#/components/schemas/A~1b%20c": "",
		"#/components/parameters/Loop": "",
	} {
		document := `{"openapi": "3.0.0", "paths": {"/a": {"get": {"parameters": [{"$ref": ` + quoted(t, ref) + `}], "responses": {"200": {"content":
			{"application/json": {"schema": {"$ref": ` + quoted(t, ref) + `}}}}}}}}, "components": {"schemas": {"Loop": {"$ref": "#/components/schemas/Loop"}, "A/b c": {}},
			"parameters": {"Loop": {"$ref": "#/components/parameters/Loop"}}}}`
		d, list, err := Parse([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(list); want != "" && !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", ref, got, want)
		}
		if got := d.Check(Call{Method: "GET", Path: "/a", Status: 200, ResponseType: jsonType, Body: []byte("1")}); len(got.Differences) != 0 {
			t.Errorf("%q: %v", ref, got)
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	var paths strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&paths, "  p%d-%s: {}\n", i, strings.Repeat("x", 500))
	}
	_, list, err := Parse([]byte("openapi: 3.1.0\npaths:\n" + paths.String()))
	if err != nil || len(list) != maxMessages+1 || len(fmt.Sprint(list)) > 20_000 {
		t.Errorf("%d %v", len(list), err)
	}
}

// References make many operations of one. What that has is read once, or has a
// bound; otherwise this takes hours.
func TestOneOperationOfManyPaths(t *testing.T) {
	list := func(n int, format string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(items, ",")
	}
	document := `{"openapi": "3.1.0", "servers": [{"url": "https://x.example.com"}], "x": {"get": {"security": [` + list(20_000, `{"s%d": []}`) + `],
		"parameters": [` + list(20_000, `{"in": "query", "name": "p%d"}`) + `],
		"responses": {"200": {"content": {` + list(20_000, `"application/x%d+json": {"schema": {}}`) + `}}}}}, "paths": {` + list(20_000, `"/p%d": {"$ref": "#/x"}`) + `}}`
	d, _, err := Parse([]byte(document))
	if err != nil || len(d.paths) != maxOperations {
		t.Fatalf("%v", err)
	}
	imported(t, document)
	got := d.Check(Call{Method: "GET", Path: "/p1", Status: 200, ResponseType: "application/x1+json", Body: []byte("1")})
	if len(got.Differences) != 0 {
		t.Errorf("%v", got)
	}
}
