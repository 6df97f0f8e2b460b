package template

import (
	"strings"
	"testing"
)

// tricks are values that would lead a request elsewhere, if they were more than
// text to somebody. S15, S17.
var tricks = []string{
	"", " ", "\x00", "\n", "\r\n", "\t", "\x7f", "\xff", "\xc0\xaf", "\xc0\xae\xc0\xae",
	"evil.com", "evil.com/", "evil.com#", "evil.com?", "evil.com\\", "evil.com:443", "evil.com%2F", "evil.com%23",
	"evil.com%00", "evil.com\x00", "evil.com\n", "evil.com;", "evil.com,", "evil.com&", "evil.com|", "evil.com ",
	"a@evil.com", "user:pw@evil.com", "@", "a@", "a:b@", "x:80", ":80", ":", "x:", "x:@", "x:0", "x:65536",
	"//evil.com", "/", "//", "///", "\\", "\\\\evil.com", "/\\evil.com", "https://evil.com", "http:", "javascript:alert(1)",
	".", "..", "...", ".a", "a.", "a..b", "a.b", "../", "/..", "..;", "..;/", "%2e%2e", "%2e%2e%2f", "%252e%252e", "%252f",
	"..%2f", "..%5c", "%", "%2", "%zz", "%2f", "%5c", "%00", "%0d%0a", "%40", "%3a", "%u002f",
	"[", "]", "[::1]", "[::ffff:127.0.0.1]", "::1", "fe80::1%eth0", "127.0.0.1", "0x7f.1",
	"ex\u00e4mple", "\u0430cme", "acme\u3002com", "acme\uff0ecom", "acme\uff61com", "acme\u2024com", "acme\u2025",
	"acme\u2044x", "acme\u2215x", "acme\uff0fx", "acme\u29f8x", "acme\uff3cx", "acme\ufe68x", "acme\uff05", "acme\uff20x",
	"acme\u2100", "\u2488", "acme\u00ad", "acme\u200b", "acme\u200d", "acme\u2028", "acme\ufeff", "\u202eacme", "\u212a", "\u0131",
	"xn--80ak6aa92e", "xn--", "ab--c", "-a", "a-", "-", "--", "a_b", "_", "ACME", "Acme", "*", "*.evil", "a b", "a+b", "a%20b",
	"{{subdomain}}", "{subdomain}", "${subdomain}", "{{", "}}", "$(id)", "`id`", "'", "\"", "<", ">", "^", "a;b", "a,b", "a=b", "a&b",
	"a?b", "a#b", "a|b", "a~b", "a!b", "a(b)", "a/b", "a\\b", "a%b", "a:b", "a@b",
	strings.Repeat("a", 64), strings.Repeat("a", 256), strings.Repeat("a", 1<<20), strings.Repeat("a.", 200),
}

// None is a label of the host.
func TestTricksInHost(t *testing.T) {
	if len(tricks) < 60 {
		t.Fatalf("%d", len(tricks))
	}
	tmpl := parsed(t, "https://{{subdomain}}.example.com/v1", map[string]Variable{"subdomain": {Overridable: true}})
	for _, trick := range tricks {
		values := map[string]string{"subdomain": trick}
		for _, err := range []error{
			expanded(tmpl, values, nil), expanded(tmpl, map[string]string{"subdomain": "good"}, values), tmpl.Check("subdomain", trick),
		} {
			if codeOf(err) != CodeInvalid {
				t.Errorf("%.40q: %v", trick, err)
			}
		}
	}
}

func expanded(tmpl *Template, stored, request map[string]string) error {
	_, err := tmpl.Expand(stored, request)
	return err
}

// A pattern that takes all leaves what the host is made of.
func TestTricksInHostWithLoosePattern(t *testing.T) {
	loose := Variable{Pattern: "(?s).*", MaxLength: 1024}
	suffixed := parsed(t, "https://{{v}}.example.com/v1", map[string]Variable{"v": loose})
	harmless := map[string]bool{ // labels, or more of them, below the suffix
		"evil.com": true, "a.b": true, "127.0.0.1": true, "0x7f.1": true, "xn--80ak6aa92e": true, "ab--c": true, "a_b": true, "_": true,
	}
	for _, trick := range tricks {
		u, err := suffixed.Expand(map[string]string{"v": trick}, nil)
		if harmless[trick] {
			if err != nil || u.text() != "https://"+trick+".example.com/v1" {
				t.Errorf("%q: %v %v", trick, u, err)
			}
		} else if codeOf(err) != CodeInvalid {
			t.Errorf("%.40q: %v %v", trick, u, err)
		}
	}

	// of a whole host, what is no name of the DNS, or this machine's
	whole := parsed(t, "https://{{v}}/v1", map[string]Variable{"v": loose})
	for _, host := range append([]string{
		"localhost", "a.localhost", "localhost.", "evil", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001",
		"0", "0x", "1.2.3", "a.0x1f", "example.com.", "example..com", "example.com:80", "example.com/", "a@example.com",
		strings.Repeat("a", 64) + ".com", strings.Repeat("abc.", 63) + "example.com", "EXAMPLE.com", "-a.example.com", "a.-example.com",
		"metadata", "[::1]", "::1",
	}, "example.com%2Fx", "ex\u00e4mple.com") {
		if _, err := whole.Expand(map[string]string{"v": host}, nil); codeOf(err) != CodeInvalid {
			t.Errorf("%q: %v", host, err)
		}
	}
	if u, err := whole.Expand(map[string]string{"v": "api.example.com"}, nil); err != nil || u.Host != "api.example.com" {
		t.Errorf("%v %v", u, err)
	}
}

// In a path, what is not refused is text of its segment.
func TestTricksInPath(t *testing.T) {
	for _, config := range []Variable{{}, {Pattern: "(?s).*"}} {
		tmpl := parsed(t, "https://h.example/a/{{v}}/b", map[string]Variable{"v": config})
		for _, trick := range tricks {
			u, err := tmpl.Expand(map[string]string{"v": trick}, nil)
			if refused := strings.ContainsAny(trick, "/\\%\x00\r\n\t\x7f\u3002\uff0e\uff61\u2024\u2025\u2044\u2215\uff0f\u29f8\uff3c\ufe68\uff05\uff20"+
				"\u2100\u2488\u00ad\u200b\u200d\u2028\ufeff\u202e") || trick == "" || trick == "." || trick == ".." || trick == "..;" ||
				trick[0] >= 0xc0 && !strings.Contains("\u0430cme\u212a\u0131", trick) || len(trick) > 255; refused {
				if codeOf(err) != CodeInvalid {
					t.Errorf("%.40q: %v %v", trick, u, err)
				}
				continue
			}
			middle, ok := strings.CutPrefix(u.Path, "/a/")
			middle, ok2 := strings.CutSuffix(middle, "/b")
			if err != nil || !ok || !ok2 || middle == "" || strings.ContainsAny(middle, "/?#;@:&=+ \\{}") || u.Host != "h.example" || u.Query != "" {
				t.Errorf("%.40q: %v %v", trick, u, err)
			}
		}
	}
}

// In a query, it is text of its parameter.
func TestTricksInQuery(t *testing.T) {
	tmpl := parsed(t, "https://h.example/?a={{v}}&b=1", map[string]Variable{"v": {Pattern: "(?s).*"}})
	for _, trick := range tricks {
		u, err := tmpl.Expand(map[string]string{"v": trick}, nil)
		if err != nil {
			if codeOf(err) != CodeInvalid {
				t.Errorf("%q: %v", trick, err)
			}
			continue
		}
		middle := strings.TrimSuffix(strings.TrimPrefix(u.Query, "a="), "&b=1")
		if len(middle)+6 != len(u.Query) || strings.ContainsAny(middle, "&=#?/;+ \\{}") || u.Host != "h.example" || u.Path != "/" {
			t.Errorf("%.40q: %v", trick, u)
		}
	}
}
