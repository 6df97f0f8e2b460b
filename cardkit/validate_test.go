package cardkit

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWebURLRefused(t *testing.T) {
	for name, url := range map[string]string{
		"javascript":             "javascript:alert(1)",
		"javascript, mixed case": "jAvAsCrIpT:alert(1)",
		"javascript, slashes":    "javascript://a.example/%0Aalert(1)",
		"javascript, tab inside": "java\tscript:alert(1)",
		"leading space":          " https://a.example",
		"leading control":        "\x01https://a.example",
		"data":                   "data:text/html,x",
		"file":                   "file:///etc/passwd",
		"blink":                  "blink:link?url=x",
		"no scheme":              "a.example",
		"network path":           "//a.example/",
		"path":                   "/a",
		"scheme only":            "https:",
		"opaque":                 "https:a.example",
		"one slash":              "https:/a.example",
		"three slashes":          "https:///a.example",
		"port only":              "https://:443/",
		"bad port":               "https://a.example:x/",
		"user":                   "https://user@a.example/",
		"user and password":      "https://user:pass@a.example/",
		"empty user":             "https://@a.example/",
		"other site as user":     "https://good.example@bad.example/",
		"backslash in host":      `https://bad.example\.good.example/`,
		"backslash before @":     `https://bad.example\@good.example/`,
		"backslashes for //":     `https:\\a.example`,
		"backslash in path":      `https://a.example/a\b`,
		"line feed":              "https://a.example/a\nb",
		"carriage return":        "https://a.example/a\rb",
		"tab":                    "https://a.example/a\tb",
		"NUL":                    "https://a.example/\x00",
		"DEL":                    "https://a.example/\x7f",
		"C1 control":             "https://a.example/\u0085",
		"space in path":          "https://a.example/a b",
		"trailing line feed":     "https://a.example/\n",
		"line separator":         "https://a.example/\u2028",
		"control in host":        "https://a%C2%80.example/",
		"space in zone":          "https://[fe80::1%25a%20b]/",
		"not UTF-8":              "https://a.example/\xff",
		"bad escape":             "https://a.example/%zz",
		"long":                   "ftp://" + strings.Repeat("x", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []Kind{KindLink, KindWebview} {
				_, err := Action{Kind: kind, URL: url}.Encode()
				checkError(t, err, "url", ErrInvalid)

				_, err = Decode("blink:" + string(kind) + "?action=open&url=" + b64(url))
				checkError(t, err, "url", ErrInvalid)
			}
		})
	}
}

func TestConnectorPathRefused(t *testing.T) {
	for name, path := range map[string]string{
		"other path":               "/auth/l-1",
		"root":                     "/",
		"relative":                 "connector/l-1",
		"prefix only":              "/connector",
		"no id":                    "/connector/",
		"no id, rest":              "/connector//a",
		"no id, query":             "/connector/?a=b",
		"longer prefix":            "/connectors/l-1",
		"upper case":               "/Connector/l-1",
		"escaped prefix":           "/%63onnector/l-1",
		"escaped slash after it":   "/connector%2Fl-1",
		"prefix below":             "/x/connector/l-1",
		"absolute URL":             "https://a.example/connector/l-1",
		"javascript":               "javascript:alert(1)",
		"network path":             "//a.example/connector/l-1",
		"double slash":             "//connector/l-1",
		"double slash after id":    "/connector/l-1//a.example/",
		"double slash, query":      "/connector/l-1//?a",
		"id with dot":              "/connector/l.1",
		"id with space":            "/connector/l- 1/a",
		"id with escape":           "/connector/l%2D1",
		"id with semicolon":        "/connector/l-1;a/b",
		"id with colon":            "/connector/l-1:80/b",
		"id with @":                "/connector/l-1@a.example/",
		"id not ASCII":             "/connector/ü",
		"id too long":              "/connector/" + strings.Repeat("x", 65),
		"id far too long":          "/connector/" + strings.Repeat("x", 10_000),
		"id of dots":               "/connector/../x",
		"dots":                     "/connector/l-1/../x",
		"dots at the end":          "/connector/l-1/..",
		"dot":                      "/connector/l-1/./x",
		"dot at the end":           "/connector/l-1/a/.",
		"dots before the query":    "/connector/l-1/..?a=b",
		"dots, ;":                  "/connector/l-1/..;/x",
		"dots, ;a=b":               "/connector/l-1/..;a=b/x",
		"dots, escaped ;":          "/connector/l-1/..%3Ba/x",
		"escaped dots":             "/connector/l-1/%2e%2e/x",
		"escaped dots, upper case": "/connector/l-1/%2E%2E/x",
		"half escaped dots":        "/connector/l-1/.%2e/x",
		"escaped dot":              "/connector/l-1/%2e",
		"escaped slashes":          "/connector/l-1/a%2f..%2fb",
		"all escaped":              "/connector/l-1/a%2f%2e%2e%2fb",
		"dots escaped twice":       "/connector/l-1/%252e%252e/x",
		"slashes escaped twice":    "/connector/l-1/a%252f..%252fb",
		"dots escaped three times": "/connector/l-1/%25252e%25252e/x",
		"dots escaped four times":  "/connector/l-1/%2525252e%2525252e/x",
		"dots by a broken escape":  "/connector/l-1/%25zz/%252e%252e/x",
		"backslash":                `/connector/l-1\..\x`,
		"backslash in rest":        `/connector/l-1/a\b`,
		"backslash in query":       `/connector/l-1?a\b`,
		"escaped backslash":        "/connector/l-1/a%5Cb",
		"backslash escaped twice":  "/connector/l-1/a%255Cb",
		"line feed":                "/connector/l-1/a\nb",
		"carriage return":          "/connector/l-1/a\rb",
		"NUL":                      "/connector/l-1/\x00",
		"DEL":                      "/connector/l-1/\x7f",
		"C1 control":               "/connector/l-1/\u0085",
		"line feed in query":       "/connector/l-1?a=\nb",
		"trailing line feed":       "/connector/l-1\n",
		"escaped line feed":        "/connector/l-1/a%0Ab",
		"escaped NUL":              "/connector/l-1/%00",
		"NUL escaped twice":        "/connector/l-1/%2500",
		"space":                    "/connector/l-1/a b",
		"space in query":           "/connector/l-1?a= b",
		"leading space":            " /connector/l-1",
		"fragment":                 "/connector/l-1#a",
		"fragment after query":     "/connector/l-1?a#b",
		"bad escape":               "/connector/l-1/%zz",
		"cut escape":               "/connector/l-1/%2",
		"not UTF-8":                "/connector/l-1/\xff",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Action{Kind: KindPost, URL: path, Body: json.RawMessage(`{}`)}.Encode()
			checkError(t, err, "url", ErrInvalid)

			_, err = Decode("blink:post?body=e30%3D&url=" + b64(path))
			checkError(t, err, "url", ErrInvalid)
		})
	}
}

func TestConnectorPathAllowed(t *testing.T) {
	for _, path := range []string{
		"/connector/l-1",
		"/connector/l-1/",
		"/connector/l-1?",
		"/connector/l-1/?",
		"/connector/L_1/a/b/",
		"/connector/l-1/a//b",
		"/connector/l-1/.../x",
		"/connector/l-1/..a/a../.a",
		"/connector/l-1/a.b;c=d",
		"/connector/l-1/a%2Fb%20c%3F%23",
		"/connector/l-1/100%25",
		"/connector/l-1/%2525",
		"/connector/l-1/%FF",
		"/connector/l-1/https://a.example",
		"/connector/l-1?next=//a.example/../b",
		"/connector/l-1?a=%0D%0A%5C%2e%2e%zz",
	} {
		if id, err := checkConnectorPath(path); err != nil || !strings.EqualFold(strings.ReplaceAll(id, "_", "-"), "l-1") {
			t.Errorf("%s: got %q, %v", path, id, err)
		}
	}
}
