package openapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// texts are the messages of a severity.
func messagesOf(i *Imported, severity Severity) string {
	var found []string
	for _, m := range i.Messages {
		if m.Severity == severity {
			found = append(found, m.Text)
		}
	}
	return strings.Join(found, "\n")
}

func TestBaseURL(t *testing.T) {
	variable := func(members string) string { return `, "variables": {"v": {` + members + `}}` }
	for name, test := range map[string]struct{ server, base, variables, failure string }{
		"plain":                 {`"url": "https://api.example.com/v1/"`, "https://api.example.com/v1", "[]", ""},
		"http":                  {`"url": "http://api.example.com"`, "http://api.example.com", "[]", ""},
		"relative":              {`"url": "/v1"`, "", "[]", "relative"},
		"no URL":                {`"description": "x"`, "", "[]", "relative"},
		"other scheme":          {`"url": "ftp://x.example.com"`, "", "[]", "cannot be the base_url"},
		"user":                  {`"url": "https://u:p@x.example.com"`, "", "[]", "cannot be the base_url"},
		"broken braces":         {`"url": "https://{v.example.com"`, "", "[]", "braces"},
		"surplus brace":         {`"url": "https://v}.example.com"`, "", "[]", "braces"},
		"two braces":            {`"url": "https://{{v}}.example.com"`, "", "[]", "braces"},
		"in the host":           {`"url": "https://{v}.example.com"` + variable(`"default": "a"`), "https://{{v}}.example.com", "[{v a }]", ""},
		"without words":         {`"url": "https://{v}.example.com"`, "https://{{v}}.example.com", "[{v  }]", ""},
		"number":                {`"url": "https://x.example.com/{v}"` + variable(`"default": 2`), "https://x.example.com/{{v}}", "[{v 2 }]", ""},
		"enum":                  {`"url": "https://{v}.example.com"` + variable(`"default": "a.b", "enum": ["a.b", "c+d"]`), "https://{{v}}.example.com", `[{v a.b a\.b|c\+d}]`, ""},
		"not in enum":           {`"url": "https://{v}.example.com"` + variable(`"default": "x", "enum": ["a", "b"]`), "https://x.example.com", "[]", ""},
		"port":                  {`"url": "https://x.example.com:{v}/"` + variable(`"default": "8443"`), "https://x.example.com:8443", "[]", ""},
		"scheme":                {`"url": "{v}://x.example.com"` + variable(`"default": "https"`), "https://x.example.com", "[]", ""},
		"path of two":           {`"url": "https://x.example.com/{v}"` + variable(`"default": "api/v1"`), "https://x.example.com/api/v1", "[]", ""},
		"root path":             {`"url": "https://x.example.com/{v}"` + variable(`"default": "/"`), "https://x.example.com", "[]", ""},
		"whole host":            {`"url": "https://{v}/v1"` + variable(`"default": "x.example.com"`), "https://x.example.com/v1", "[]", ""},
		"any host":              {`"url": "https://{v}/v1"`, "", "[]", "needs a pattern of its own"},
		"a strange name":        {`"url": "https://{a.b}.example.com", "variables": {"a.b": {"default": "q"}}`, "https://{{a_b}}.example.com", "[{a_b q }]", ""},
		"a digit":               {`"url": "https://{1}.example.com"`, "https://{{v1}}.example.com", "[{v1  }]", ""},
		"one name for two":      {`"url": "https://{a.b}{a:b}.example.com", "variables": {"a.b": {"default": "q"}, "a:b": {"default": "r"}}`, "https://q{{a_b}}.example.com", "[{a_b r }]", ""},
		"variable in a default": {`"url": "https://x.example.com:{v}"` + variable(`"default": "{{evil}}"`), "", "[]", "cannot be the base_url"},
		"injection":             {`"url": "https://x.example.com\"\n}\nimport x"`, "", "[]", "cannot be the base_url"},
		"query":                 {`"url": "https://x.example.com/?a={v}"`, "https://x.example.com/?a={{v}}", "[{v  }]", ""},
		"many variables":        {`"url": "https://` + strings.Repeat("{v}", 40) + `.example.com"`, "", "[]", "too many variables"},
	} {
		made := imported(t, `{"openapi": "3.0.1", "paths": {}, "servers": [{`+test.server+`}]}`)
		if got := fmt.Sprint(made.API.Variables); made.API.BaseURL != test.base || got != test.variables {
			t.Errorf("%s: %s %s, want %s %s", name, made.API.BaseURL, got, test.base, test.variables)
		}
		if failure := messagesOf(made, Failure); (failure == "") != (test.failure == "") || !strings.Contains(failure, test.failure) {
			t.Errorf("%s: %q, want %q", name, failure, test.failure)
		}
		if made.Failed() != (test.failure != "") {
			t.Errorf("%s: %v", name, made.Failed())
		}
	}
}

func TestAuth(t *testing.T) {
	const schemes = `"key": {"type": "apiKey", "in": "cookie", "name": "sid"}, "auth": {"type": "apiKey", "in": "header", "name": "authorization"},
		"host": {"type": "apiKey", "in": "header", "name": "Host"}, "basic": {"type": "http", "scheme": "BASIC"}, "bearer": {"type": "http", "scheme": "bearer"},
		"digest": {"type": "http", "scheme": "digest"}, "oidc": {"type": "openIdConnect"}, "tls": {"type": "mutualTLS"}, "ref": {"$ref": "#/components/securitySchemes/key"},
		"code": {"type": "oauth2", "flows": {"password": {"tokenUrl": "https://x/p"}, "authorizationCode": {"authorizationUrl": "https://x/a", "tokenUrl": "https://x/t"}}},
		"implicit": {"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "https://x/a"}}}, "none": {"type": "oauth2"},
		"relative": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/token"}, "password": {"tokenUrl": "https://x/p"}}}`
	const failed = "None of the document's kinds of credentials can be used"
	for security, test := range map[string]struct{ auth, warning, failure string }{
		`[]`:                                        {"[none]", "", ""},
		`[{}]`:                                      {"[none]", "", ""},
		`[{}, {"key": []}]`:                         {"[key cookie sid]", "", ""},
		`[{"key": []}, {"basic": []}]`:              {"[key cookie sid]", "", ""},
		`[{"ref": []}]`:                             {"[key cookie sid]", "", ""},
		`[{"key": [], "bearer": []}]`:               {"[key cookie sid, bearer]", "", ""},
		`[{"basic": [], "bearer": []}]`:             {"[basic]", "the header Authorization is claimed twice", ""},
		`[{"auth": [], "bearer": []}]`:              {"[key header authorization]", "claimed twice", ""},
		`[{"host": []}]`:                            {"[]", "has a meaning of its own", failed},
		`[{"digest": []}]`:                          {"[]", `the HTTP scheme "digest" is not supported`, failed},
		`[{"oidc": []}]`:                            {"[]", "OpenID Connect", failed},
		`[{"oidc": []}, {"bearer": []}]`:            {"[bearer]", "", ""},
		`[{"oidc": [], "key": []}, {"digest": []}]`: {"[key cookie sid]", "OpenID Connect", ""},
		`[{"oidc": []}, {"digest": [], "key": []}]`: {"[key cookie sid]", "digest", ""},
		`[{"unknown": []}]`:                         {"[]", "not in the document", failed},
		`[{"tls": []}]`:                             {"[certificate]", "", ""},
		`[{"code": ["a", "b:c/d"]}]`:                {"[authorization_code https://x/a https://x/t [a b:c/d] header]", "", ""},
		`[{"code": ["a b", "{env.X}", "\n"]}]`:      {"[authorization_code https://x/a https://x/t [] header]", "A scope is left out", ""},
		`[{"implicit": []}]`:                        {"[]", "implicit", failed},
		`[{"none": []}]`:                            {"[]", "no flows", failed},
		`[{"relative": []}]`:                        {"[password  https://x/p [] header]", "not absolute", ""},
	} {
		made := imported(t, `{"openapi": "3.0.1", "paths": {}, "servers": [{"url": "https://x.example.com"}], "security": `+security+`, "components": {"securitySchemes": {`+schemes+`}}}`)
		var auth []string
		for _, a := range made.API.Auth {
			switch {
			case a.OAuth2 != nil:
				auth = append(auth, strings.Trim(fmt.Sprint(*a.OAuth2), "{}"))
			case a.Type == "api_key":
				auth = append(auth, "key "+a.In+" "+a.Name)
			default:
				auth = append(auth, a.Type)
			}
		}
		if got := "[" + strings.Join(auth, ", ") + "]"; got != test.auth {
			t.Errorf("%s: %s, want %s", security, got, test.auth)
		}
		warning := messagesOf(made, Warning)
		warning = strings.Join(slices.DeleteFunc(strings.Split(warning, "\n"), func(text string) bool { return strings.Contains(text, "GET operation") }), "\n")
		if (warning == "") != (test.warning == "") || !strings.Contains(warning, test.warning) {
			t.Errorf("%s: warning %q, want %q", security, warning, test.warning)
		}
		if failure := messagesOf(made, Failure); (failure == "") != (test.failure == "") || !strings.Contains(failure, test.failure) {
			t.Errorf("%s: %q, want %q", security, failure, test.failure)
		}
	}
}

// Without security for all operations, it is that of most of them.
func TestAuthOfOperations(t *testing.T) {
	const schemes = `"components": {"securitySchemes": {"a": {"type": "http", "scheme": "basic"}, "b": {"type": "http", "scheme": "bearer"}}}`
	for paths, want := range map[string]string{
		`"/1": {"get": {"security": [{"a": []}]}, "put": {"security": [{"b": []}]}, "post": {"security": [{"b": []}]}}`: "bearer",
		`"/1": {"get": {"security": []}, "put": {"security": [{"a": []}]}}`:                                             "basic",
		`"/1": {"get": {}}`: "basic", // the first that is declared
	} {
		made := imported(t, `{"openapi": "3.0.1", "paths": {`+paths+`}, `+schemes+`}`)
		if len(made.API.Auth) != 1 || made.API.Auth[0].Type != want {
			t.Errorf("%s: %v, want %s", paths, made.API.Auth, want)
		}
	}
}

func TestTestPath(t *testing.T) {
	for paths, want := range map[string]string{
		`"/things": {"get": {}}, "/a/b/users/me.json": {"get": {}}, "/account": {"get": {}}`:                                                    "/a/b/users/me.json",
		`"/account": {"get": {}}, "/self": {"get": {}}, "/users": {"get": {}}`:                                                                  "/self",
		`"/users": {"get": {}}, "/b": {"get": {}}, "/a": {"get": {}}`:                                                                           "/a",
		`"/me": {"get": {"deprecated": true}}, "/a": {"get": {}}`:                                                                               "/a",
		`"/me": {"post": {}}, "/a": {"get": {}}`:                                                                                                "/a",
		`"/me": {"get": {"security": []}}, "/a": {"get": {}}`:                                                                                   "/a",
		`"/me": {"get": {"security": [{}, {"x": []}]}}, "/a": {"get": {}}`:                                                                      "/a",
		`"/me": {"get": {"requestBody": {}}}, "/a": {"get": {}}`:                                                                                "/a",
		`"/me": {"get": {"servers": []}}, "/a": {"get": {}}`:                                                                                    "/a",
		`"/me": {"get": {"parameters": [{"in": "query", "name": "q", "required": true}]}}, "/a": {"get": {}}`:                                   "/a",
		`"/me": {"parameters": [{"in": "header", "name": "q", "required": true}], "get": {}}, "/a": {"get": {}}`:                                "/a",
		`"/me": {"parameters": [{"in": "query", "name": "q", "required": true}], "get": {"parameters": [{"in": "query", "name": "q"}]}}`:        "/me",
		`"/me": {"get": {"parameters": [{"in": "header", "name": "authorization", "required": true}]}}`:                                         "/me",
		`"/{x}/me": {"get": {}}, "/a b/me": {"get": {}}, "/../me": {"get": {}}, "/me#": {"get": {}}, "/me?x": {"get": {}}, "//me": {"get": {}}`: "",
		`"/%2e%2e/me": {"get": {}}, "/` + strings.Repeat("a", 300) + `": {"get": {}}, "me": {"get": {}}`:                                        "",
	} {
		if got := imported(t, `{"openapi": "3.0.1", "paths": {`+paths+`}}`).API.Test; got != want {
			t.Errorf("%s: %q, want %q", paths, got, want)
		}
	}
}

// A document whose parts are of other kinds than they should be is one that has
// less.
func TestStrangeKinds(t *testing.T) {
	for _, strange := range []string{`null`, `1`, `"x"`, `[]`, `{}`, `[1]`, `[[]]`, `{"a": 1}`, `{"/a": 1}`, `{"/a": {"get": []}}`, `[{"url": 1}]`, `[{"a": {"b": 1}}]`} {
		for _, member := range []string{"info", "servers", "paths", "security", "components"} {
			encoded := document(t, map[string]any{member: json.RawMessage(strange)})
			made := imported(t, encoded)
			checkBlock(t, made, made.Caddyfile(""))
			parsed(t, encoded).Check(Call{Method: "GET", Path: "/a", Status: 200})
		}
		for _, inside := range []string{
			`"paths": {"/a": {"get": {"responses": %s}}}`, `"paths": {"/a": {"get": {"responses": {"200": %s}}}}`, `"paths": {"/a": {"get": {"parameters": %s}}}`,
			`"paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": %s}}}}}}}`,
			`"paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": %[1]s, "properties": %[1]s, "items": %[1]s, "enum": %[1]s,
				"allOf": %[1]s, "required": %[1]s, "pattern": %[1]s, "minimum": %[1]s, "maxLength": %[1]s, "multipleOf": %[1]s, "$ref": %[1]s}}}}}}}}`,
			`"security": [{"a": %s}], "components": {"securitySchemes": {"a": %[1]s}}`,
			`"security": [{"a": []}], "components": {"securitySchemes": {"a": {"type": "oauth2", "flows": {"password": %s}}}}`,
		} {
			encoded := `{"openapi": "3.1.0", ` + fmt.Sprintf(inside, strange) + `}`
			imported(t, encoded)
			got := parsed(t, encoded).Check(Call{Method: "GET", Path: "/a", Status: 200, ResponseType: jsonType, Body: []byte(`{"a": [1]}`)})
			if slices.ContainsFunc(got.Differences, func(d Difference) bool { return d.Rule == "unchecked" }) {
				t.Errorf("%s: %v", encoded, got)
			}
		}
	}
}
