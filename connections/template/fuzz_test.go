package template

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// FuzzExpand checks that no value, whatever the patterns, changes another part
// of the URL than its own.
func FuzzExpand(f *testing.F) {
	for _, trick := range tricks {
		if len(trick) < 300 {
			f.Add(trick, "account", "q")
			f.Add("acme", trick, "q")
			f.Add("acme", "account", trick)
		}
	}
	const raw = "https://api-{{a}}.x.example.com:8443/v1/{{b}}/c-{{b}}?p={{c}}&q=1"
	loose := Variable{Pattern: "(?s).*", Overridable: true}
	templates := []*Template{
		parsed(f, raw, map[string]Variable{"a": {Overridable: true}, "b": {Overridable: true}, "c": {Overridable: true}}),
		parsed(f, raw, map[string]Variable{"a": loose, "b": loose, "c": loose}),
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		values := map[string]string{"a": a, "b": b, "c": c}
		for i, tmpl := range templates {
			u, err := tmpl.Expand(values, nil)
			again, err2 := tmpl.Expand(nil, values)
			if u != again || (err == nil) != (err2 == nil) {
				t.Fatalf("%v %v, %v %v", u, err, again, err2)
			}
			if err != nil {
				if codeOf(err) != CodeInvalid {
					t.Fatalf("%v", err)
				}
				continue
			}
			read, err := url.Parse(u.text())
			if err != nil {
				t.Fatalf("%s: %v", u.text(), err)
			}
			host, okHost := strings.CutSuffix(u.Host, ".x.example.com:8443")
			if read.Scheme != "https" || read.Host != u.Host || read.User != nil || read.Port() != "8443" || !okHost ||
				!strings.HasPrefix(host, "api-") || i == 0 && strings.Contains(host, ".") {
				t.Fatalf("%s: %+v", u.text(), read)
			}
			segments := strings.Split(read.EscapedPath(), "/")
			if read.EscapedPath() != u.Path || rawpath.Check(u.Path) != nil || len(segments) != 4 || segments[1] != "v1" {
				t.Fatalf("%s: %q", u.text(), segments)
			}
			if text, err := url.PathUnescape(segments[2]); err != nil || text != b || segments[3] != "c-"+segments[2] {
				t.Fatalf("%q is %q", b, segments)
			}
			query, err := url.ParseQuery(read.RawQuery)
			if err != nil || len(query) != 2 || query.Get("p") != c || query.Get("q") != "1" || read.Fragment != "" || strings.HasSuffix(u.text(), "#") {
				t.Fatalf("%s: %v %v", u.text(), query, err)
			}
		}
	})
}

// FuzzParse checks that parsing never panics, and that what is parsed is a URL
// as net/url reads it too, with its variables filled in or not.
func FuzzParse(f *testing.F) {
	for _, raw := range []string{
		"https://{{a}}.example.com/v1/{{b}}?c={{a}}", "http://127.0.0.1:8080", "https://[::1]:1/a%2Fb//", "https://h?", "https://{{a}}",
		"https://a:b@c/{{", "https://h/{{a}}}}", "https://h//x", "https://h/;a=b,c",
	} {
		f.Add(raw, "", "x")
		f.Add(raw, "[a-z.]+", "evil.com")
	}
	f.Fuzz(func(t *testing.T, raw, pattern, value string) {
		config := map[string]Variable{"a": {Pattern: pattern}}
		if !strings.Contains(raw, "{{a}}") {
			config = nil
		}
		tmpl, err := Parse(raw, config)
		if err != nil {
			var syntax *SyntaxError
			if errors.As(err, &syntax) && (syntax.Position < 1 || syntax.Position > len(raw)+1) {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		values := make(map[string]string)
		for _, name := range tmpl.Variables() {
			if !IsName(name) {
				t.Fatalf("%q", name)
			}
			values[name] = value
		}
		u, err := tmpl.Expand(values, nil)
		if err != nil {
			if codeOf(err) != CodeInvalid || len(values) == 0 {
				t.Fatalf("%q with %q: %v", raw, value, err)
			}
			return
		}
		read, err := url.Parse(u.text())
		if err != nil || read.Host != u.Host || read.EscapedPath() != u.Path || read.RawQuery != u.Query || read.User != nil || read.Scheme != tmpl.Scheme() {
			t.Fatalf("%q: %+v, %+v %v", raw, u, read, err)
		}
	})
}
