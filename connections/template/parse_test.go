package template

import (
	"errors"
	"strings"
	"testing"
)

func TestSyntax(t *testing.T) {
	for raw, position := range map[string]int{
		"":                                   1,
		"example.com":                        1,
		"//example.com":                      1,
		"/path":                              1,
		"ftp://example.com":                  1,
		"HTTPS://example.com":                1,
		"{{scheme}}://example.com":           1,
		"https:/example.com":                 1,
		"https://":                           9,
		"https:///path":                      9,
		"https://?q":                         9,
		"https://.example.com":               9,
		"https://example.com.":               9,
		"https://example..com":               9,
		"https://-a.example.com":             9,
		"https://example.com-":               9,
		"https://1.2.3":                      9,
		"https://0x7f.1":                     9,
		"https://::1":                        9,
		"https://[::1":                       9,
		"https://[:::1":                      9,
		"https://::1]":                       9,
		"https://[fe80::1%25eth0]":           17,
		"https://[::ffff:127.0.0.1]":         9,
		"https://[127.0.0.1]":                9,
		"https://{{v}}.0.0.1":                9,
		"https://{{v}}":                      9,
		"https://{{v}}.com":                  9,
		"https://{{v}}.co.uk":                9,
		"https://{{v}}.kawasaki.jp":          9,
		"https://{{v}}.internal":             9,
		"https://{{v}}example.com":           9,
		"https://api.{{v}}":                  9,
		"https://a.{{v}}.com":                9,
		"https://{{v}}.-.example.com":        9,
		"https://" + strings.Repeat("a", 64): 9,
		"https://user@example.com":           13,
		"https://user:pw@example.com":        16,
		"https://{{v}}@example.com":          14,
		"https://example.com%2F":             20,
		"https://example.com:":               21,
		"https://example.com:0":              21,
		"https://example.com:080":            21,
		"https://example.com:+80":            21,
		"https://example.com:65536":          21,
		"https://example.com:x":              21,
		"https://example.com:{{port}}":       21,
		"https://example.com:80{{port}}":     21,
		"https://example.com/#":              21,
		"https://example.com/a#b":            22,
		"https://example.com#{{v}}":          20,
		"https://example.com/a b":            22,
		"https://example.com/\n":             21,
		"https://example.com/é":              21,
		"https://exämple.com":                11,
		"https://example.com/a\\b":           22,
		"https://example.com/|":              21,
		"https://example.com/%":              21,
		"https://example.com/%2":             21,
		"https://example.com/%zz":            21,
		"https://example.com/?%":             22,
		"https://example.com/..":             20,
		"https://example.com/a/./b":          20,
		"https://example.com/%2e%2e":         20,
		"https://example.com/a%00":           20,
		"https://example.com/a%5c":           20,
		"https://example.com/{v}":            21,
		"https://example.com/{{v}":           21,
		"https://example.com/{{v} }":         25,
		"https://example.com/}}":             21,
		"https://example.com/a}":             22,
		"https://example.com/{{}}":           21,
		"https://example.com/{{ v }}":        23, // no character of a URL
		"https://example.com/{{{v}}}":        21,
		"https://example.com/{{v}}}":         26,
		"https://example.com/{{1}}":          21,
		"https://example.com/{{-v}}":         21,
		"https://example.com/{{_v}}":         21,
		"https://example.com/{{a.b}}":        21,
		"https://example.com/{{a/b}}":        21,
		"https://example.com/{{a?b}}":        21,
		"https://example.com/{{v}}/{v}":      27,
		"https://example.com/?{{v}":          22,
		"https://{{v}.example.com":           9,
		"https://a{{v}.example.com":          10,
		"https://example.com/{{" + strings.Repeat("v", 65) + "}}": 21,
		"https://example.com/" + strings.Repeat("v", 2029):        2049,
		"https://h/" + manyVariables(33):                          11 + 32*7,
	} {
		_, err := Parse(raw, nil)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Position != position {
			t.Errorf("%.60q: %v, want position %d", raw, err, position)
		}
	}
	parsed(t, "https://h/"+manyVariables(32), nil)
	parsed(t, "https://h/"+strings.Repeat("v", 2038), nil)
}

func manyVariables(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString("{{v" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "}}")
	}
	return out.String()
}

func TestParse(t *testing.T) {
	tmpl := parsed(t, "http://{{a}}.Example.com:81/x?", nil)
	if tmpl.Scheme() != "http" || !tmpl.HasQuery() {
		t.Errorf("%s %v", tmpl.Scheme(), tmpl.HasQuery())
	}
	if tmpl = parsed(t, "https://localhost", nil); tmpl.Scheme() != "https" || tmpl.HasQuery() {
		t.Errorf("%s %v", tmpl.Scheme(), tmpl.HasQuery())
	}
}

func TestVariableConfig(t *testing.T) {
	for _, tc := range []struct {
		raw     string
		config  Variable
		wantErr string
	}{
		{"https://{{v}}.example.com", Variable{}, ""},
		{"https://{{v}}.example.com", Variable{Default: "acme"}, ""},
		{"https://{{v}}.example.com", Variable{Default: "a.b"}, "its default is not"},
		{"https://{{v}}.example.com", Variable{Default: "acme", Pattern: "[b-z]+"}, "its default is not"},
		{"https://{{v}}.example.com", Variable{Default: "acme", MaxLength: 3}, "its default is not"},
		{"https://{{v}}", Variable{Default: "localhost", Pattern: ".*"}, "does not fit into the URL"},
		{"https://h.example/.{{v}}", Variable{Default: "."}, "does not fit into the URL"},
		{"https://h.example/", Variable{}, `variable "v" is not in the URL`},
		{"https://{{v}}.example.com", Variable{MaxLength: -1}, "not from 1 to 1024"},
		{"https://{{v}}.example.com", Variable{MaxLength: 1025}, "not from 1 to 1024"},
		{"https://{{v}}.example.com", Variable{MaxLength: 1024}, ""},
		{"https://{{v}}.example.com", Variable{Pattern: "("}, "its pattern"},
		{"https://{{v}}.example.com", Variable{Pattern: "a)|(b"}, "its pattern"},
		{"https://{{v}}.example.com", Variable{Pattern: strings.Repeat("a", 1025)}, "its pattern is longer"},
	} {
		_, err := Parse(tc.raw, map[string]Variable{"v": tc.config})
		if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
			t.Errorf("%s %+v: %v", tc.raw, tc.config, err)
		}
	}
}

// A pattern is for the whole of a value.
func TestPatternIsAnchored(t *testing.T) {
	for _, pattern := range []string{"acme|evil", "(?m)acme|evil", "(?i)acme|evil$"} {
		tmpl := parsed(t, "https://h.example/{{v}}", map[string]Variable{"v": {Pattern: pattern}})
		for value, want := range map[string]string{
			"acme": "", "evil": "", "acmex": CodeInvalid, "xevil": CodeInvalid, "acme x": CodeInvalid, "acmeevil": CodeInvalid,
		} {
			if err := tmpl.Check("v", value); codeOf(err) != want {
				t.Errorf("%s: %q: %v", pattern, value, err)
			}
		}
	}
}
