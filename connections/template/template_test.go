package template

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func parsed(t testing.TB, raw string, config map[string]Variable) *Template {
	t.Helper()
	parsed, err := Parse(raw, config)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return parsed
}

func codeOf(err error) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

func (u URL) text() string {
	text := u.Scheme + "://" + u.Host + u.Path
	if u.Query != "" {
		text += "?" + u.Query
	}
	return text
}

func TestExpand(t *testing.T) {
	anything := map[string]Variable{"v": {Pattern: "(?s).*"}}
	for _, tc := range []struct {
		raw, value string
		config     map[string]Variable
		want       string
	}{
		{"https://api.example.com", "", nil, "https://api.example.com"},
		{"https://api.example.com/", "", nil, "https://api.example.com/"},
		{"http://127.0.0.1:9000/a%2Fb", "", nil, "http://127.0.0.1:9000/a%2Fb"},
		{"https://[2001:db8::1]:8443/v1", "", nil, "https://[2001:db8::1]:8443/v1"},
		{"https://API.Example.COM/V1", "", nil, "https://api.example.com/V1"},
		{"https://{{v}}.example.com", "acme", nil, "https://acme.example.com"},
		{"https://{{v}}.example.com:8443/x", "a-1", nil, "https://a-1.example.com:8443/x"},
		{"https://{{v}}.example.com", strings.Repeat("a", 63), nil, "https://" + strings.Repeat("a", 63) + ".example.com"},
		{"https://api-{{v}}.example.com", "eu", nil, "https://api-eu.example.com"},
		{"https://{{v}}-api.{{v}}.example.com", "eu", nil, "https://eu-api.eu.example.com"},
		{"https://{{v}}.github.io", "acme", nil, "https://acme.github.io"},
		{"https://{{v}}.com", "acme", map[string]Variable{"v": {Pattern: "acme|other"}}, "https://acme.com"},
		{"https://{{v}}", "x.example.com", map[string]Variable{"v": {Pattern: `[a-z]+\.example\.com`}}, "https://x.example.com"},
		{"https://{{v}}.example.com", "a.b_c", anything, "https://a.b_c.example.com"},
		{"https://h/{{v}}", "acme", nil, "https://h/acme"},
		{"https://h/a/{{v}}/b", "a b", nil, "https://h/a/a%20b/b"},
		{"https://h/{{v}}", "x?y#z;a=b&c:d@e+f", nil, "https://h/x%3Fy%23z%3Ba%3Db%26c%3Ad%40e%2Bf"},
		{"https://h/{{v}}", "é漢٣", nil, "https://h/%C3%A9%E6%BC%A2%D9%A3"},
		{"https://h/x{{v}}", "..", nil, "https://h/x.."},
		{"https://h/{{v}}", "...", nil, "https://h/..."},
		{"https://h/{{v}}", "{{v}}", nil, "https://h/%7B%7Bv%7D%7D"},
		{"https://h/{{v}}-{{v}}", "~._-", nil, "https://h/~._--~._-"},
		{"https://h/?a={{v}}&b=1", "1&b=2#x", nil, "https://h/?a=1%26b%3D2%23x&b=1"},
		{"https://h/p?a={{v}}", "/../%2F\\;+ ", nil, "https://h/p?a=%2F..%2F%252F%5C%3B%2B%20"},
	} {
		u, err := parsed(t, tc.raw, tc.config).Expand(map[string]string{"v": tc.value}, nil)
		if err != nil || u.text() != tc.want {
			t.Errorf("%s with %q: %s %v, want %s", tc.raw, tc.value, u.text(), err, tc.want)
		}
	}
}

// V5: the request's value, if it may have one, before that of the connection,
// before the default.
func TestPrecedence(t *testing.T) {
	tmpl := parsed(t, "https://{{open}}.example.com/{{closed}}/{{plain}}", map[string]Variable{
		"open":   {Default: "eu", Overridable: true},
		"closed": {Default: "one"},
	})
	type vars = map[string]string
	for _, tc := range []struct {
		stored, request vars
		want            string // or a code
	}{
		{nil, nil, CodeMissing},
		{vars{"plain": "p"}, nil, "https://eu.example.com/one/p"},
		{vars{"plain": "p", "open": "us", "closed": "two"}, nil, "https://us.example.com/two/p"},
		{vars{"plain": "p", "open": "us"}, vars{"open": "ap"}, "https://ap.example.com/one/p"},
		{vars{"plain": "p"}, vars{"open": "ap"}, "https://ap.example.com/one/p"},
		{vars{"plain": "p", "open": "not a label"}, vars{"open": "ap"}, "https://ap.example.com/one/p"},
		{vars{"plain": "p", "open": "us"}, vars{"open": ""}, CodeInvalid},
		{vars{"plain": "p", "open": "us"}, vars{"open": "a.b"}, CodeInvalid},
		{vars{"plain": "p", "open": "us", "closed": ""}, nil, CodeInvalid},
		{vars{"plain": "p", "closed": "two"}, vars{"closed": "two"}, CodeFixed},
		{vars{"plain": "p"}, vars{"plain": "q"}, CodeFixed},
		{vars{"plain": "p"}, vars{"other": "q"}, CodeUnknown},
		{vars{"plain": "p"}, vars{"Open": "ap"}, CodeUnknown},
		{vars{"plain": "p", "other": "\x00"}, nil, "https://eu.example.com/one/p"},
	} {
		u, err := tmpl.Expand(tc.stored, tc.request)
		got := u.text()
		if err != nil {
			got = codeOf(err)
		}
		if got != tc.want {
			t.Errorf("%v, %v: %s, want %s", tc.stored, tc.request, got, tc.want)
		}
	}
	if names := tmpl.Variables(); !slices.Equal(names, []string{"closed", "open", "plain"}) {
		t.Errorf("%v", names)
	}
}

// What is checked before it is stored is what is checked before it is used.
func TestCheck(t *testing.T) {
	tmpl := parsed(t, "https://{{host}}.example.com/{{path}}/?{{query}}", map[string]Variable{"path": {MaxLength: 3}})
	for _, tc := range []struct{ name, value, want string }{
		{"host", "acme", ""}, {"host", "a.b", CodeInvalid}, {"host", "", CodeInvalid},
		{"path", "a&b", ""}, {"path", "a/b", CodeInvalid}, {"path", "abcd", CodeInvalid},
		{"query", "a/b", ""}, {"query", "a\n", CodeInvalid}, {"Query", "a", CodeUnknown},
		{strings.Repeat("n", 100), "a", CodeUnknown},
	} {
		err := tmpl.Check(tc.name, tc.value)
		if codeOf(err) != tc.want || err == nil != (tc.want == "") {
			t.Errorf("%s %q: %v", tc.name, tc.value, err)
		}
		var refusal *Refusal
		if errors.As(err, &refusal) && (refusal.Variable != tc.name[:min(len(tc.name), 64)] || refusal.Error() != tc.want) {
			t.Errorf("%+v", refusal)
		}
	}
}

func TestRefusalNamesTheVariable(t *testing.T) {
	tmpl := parsed(t, "https://{{a}}.{{b}}.example.com/{{c}}{{d}}", nil)
	for _, tc := range []struct {
		a, b, c, d, want string
	}{
		{"", "b", "c", "d", "a"},
		{"a", "-", "c", "d", "b"},
		{"a", "b", "/", "d", "c"},
		{"a", "b", "c", "\x7f", "d"},
		{"a", "b", ".", ".", "c"}, // only together
	} {
		_, err := tmpl.Expand(map[string]string{"a": tc.a, "b": tc.b, "c": tc.c, "d": tc.d}, nil)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != CodeInvalid || refusal.Variable != tc.want {
			t.Errorf("%+v: %+v", tc, refusal)
		}
	}
}
