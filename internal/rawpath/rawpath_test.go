package rawpath

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		escaped, prefix string
		segment, rest   string
		ok              bool
	}{
		{"/connector/a", "/connector", "a", "", true},
		{"/connector/a/", "/connector", "a", "/", true},
		{"/connector/a/b/c", "/connector", "a", "/b/c", true},
		{"/connector/a//b", "/connector", "a", "//b", true},
		{"/connector//a", "/connector", "", "/a", true},
		{"/connector/", "/connector", "", "", true},
		{"/connector/%61/b%2Fc", "/connector", "%61", "/b%2Fc", true},
		{"/connector/a%2Fb", "/connector", "a%2Fb", "", true},
		{"/connector", "/connector", "", "", false},
		{"/connectors/a", "/connector", "", "", false},
		{"/Connector/a", "/connector", "", "", false},
		{"/%63onnector/a", "/connector", "", "", false},
		{"//connector/a", "/connector", "", "", false},
		{"*", "/connector", "", "", false},
		{"", "/connector", "", "", false},
		{"/a/b", "", "a", "/b", true},
		{"", "", "", "", false},
		{"/x/y/a/b", "/x/y", "a", "/b", true},
	} {
		segment, rest, ok := Cut(tc.escaped, tc.prefix)
		if segment != tc.segment || rest != tc.rest || ok != tc.ok {
			t.Errorf("Cut(%q, %q) = %q, %q, %v", tc.escaped, tc.prefix, segment, rest, ok)
		}
	}
}

func TestJoin(t *testing.T) {
	for _, tc := range []struct{ base, rest, want string }{
		{"", "", "/"},
		{"", "/", "/"},
		{"", "/sale/123", "/sale/123"},
		{"", "//x", "//x"},
		{"/", "/sale", "/sale"},
		{"/base", "", "/base"},
		{"/base", "/", "/base"},
		{"/base/", "", "/base/"},
		{"/base", "/sale", "/base/sale"},
		{"/base/", "/sale", "/base/sale"},
		{"/base", "//x/", "/base//x/"},
		{"/a%2Fb", "/c%2Fd", "/a%2Fb/c%2Fd"},
	} {
		if got := Join(tc.base, tc.rest); got != tc.want {
			t.Errorf("Join(%q, %q) = %q, want %q", tc.base, tc.rest, got, tc.want)
		}
	}
}

// S12, S14
func TestCheck(t *testing.T) {
	for _, ok := range []string{
		"", "/", "/sale/123", "//", "//x//", "/a%2Fb", "/a%20b", "/a+b", "/a;b=c", "/%25", "/100%25", "/%252541",
		"/.well-known/x", "/...", "/..a", "/a..", "/a.b", "/.a/..b", "/%2ea", "/a%2e%2e", "/%3F", "/%23",
		"/%C3%A9", "/é", "/%E9", "/a|b", "/%f0%9f%98%80", "/%c3%80%ae", "/~user", "/:x", "/@",
	} {
		if err := Check(ok); err != nil {
			t.Errorf("Check(%q) = %v", ok, err)
		}
	}
	for path, want := range map[string]error{
		"/..":                        ErrDotSegment,
		"/.":                         ErrDotSegment,
		"/../":                       ErrDotSegment,
		"/a/../b":                    ErrDotSegment,
		"/a/./b":                     ErrDotSegment,
		"/%2e%2e":                    ErrDotSegment,
		"/%2E%2E/":                   ErrDotSegment,
		"/.%2e":                      ErrDotSegment,
		"/%2e./a":                    ErrDotSegment,
		"/%2e":                       ErrDotSegment,
		"/..%2f":                     ErrDotSegment,
		"/a%2f..%2fb":                ErrDotSegment,
		"/a%2F%2e%2E%2Fb":            ErrDotSegment,
		"/%252e%252e/":               ErrDotSegment,
		"/%252e%252e%252f":           ErrDotSegment,
		"/..%252f":                   ErrDotSegment,
		"/%25252e%25252e/":           ErrDotSegment,
		"/..;/":                      ErrDotSegment,
		"/..;a=b/c":                  ErrDotSegment,
		"/.;/":                       ErrDotSegment,
		"/..%3b/":                    ErrDotSegment,
		"/%2e%2e%3Bx/":               ErrDotSegment,
		"/%c0%ae%c0%ae/":             ErrDotSegment,
		"/%C0%AE./":                  ErrDotSegment,
		"/a%c0%af..%c0%afb":          ErrDotSegment,
		"/%e0%80%ae%e0%80%ae/":       ErrDotSegment,
		"/%f0%80%80%ae%f0%80%80%ae/": ErrDotSegment,
		"/%25c0%25ae%25c0%25ae/":     ErrDotSegment,
		"/\xc0\xae\xc0\xae/":         ErrDotSegment,
		"/a\\b":                      ErrCharacter,
		"/a%5cb":                     ErrCharacter,
		"/a%5Cb":                     ErrCharacter,
		"/a%255cb":                   ErrCharacter,
		"/%c1%9c":                    ErrCharacter,
		"/%e0%81%9c":                 ErrCharacter,
		"/%00":                       ErrCharacter,
		"/a%2500":                    ErrCharacter,
		"/%c0%80":                    ErrCharacter,
		"/%0d":                       ErrCharacter,
		"/%0A":                       ErrCharacter,
		"/a%250d%250aX":              ErrCharacter,
		"/\r\n":                      ErrCharacter,
		"/\x00":                      ErrCharacter,
		"/%7f":                       ErrCharacter,
		"/%09":                       ErrCharacter,
		"/a#b":                       ErrCharacter,
		"/%2525252525252e":           ErrNested,
		"/%252525252e%252525252e/":   ErrNested,
	} {
		if err := Check(path); !errors.Is(err, want) {
			t.Errorf("Check(%q) = %v, want %v", path, err, want)
		}
	}
}

// What Set sets is what net/http writes.
func TestSetIsWrittenByteForByte(t *testing.T) {
	for _, path := range []string{
		"/", "/a%2Fb", "/a%2fb", "/a%20b", "/a+b", "/a//b", "//a", "//a%2Fb//", "/a;b", "/a|b", "/{x}", "/é",
		"/\"", "/^`", "/%7Euser", "/~user", "/%41", "/!$&'()*+,;=:@", "/[x]", "/%25",
	} {
		u := &url.URL{Scheme: "http", Host: "upstream.example"}
		if err := Set(u, path); err != nil {
			t.Errorf("Set(%q): %v", path, err)
			continue
		}
		if got := requestTarget(t, u); got != path {
			t.Errorf("Set(%q) writes %q", path, got)
		}
		parsed, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := Of(parsed); got != path {
			t.Errorf("Of(%q) = %q", path, got)
		}
	}
	for _, path := range []string{"//a|b", "/%", "/%zz"} {
		if err := Set(new(url.URL), path); err == nil {
			t.Errorf("Set(%q) took it", path)
		}
	}
}

func TestOfAfterARewrite(t *testing.T) {
	u := &url.URL{Path: "/new path", RawPath: "/old%2Fpath"}
	if got := Of(u); got != "/new%20path" {
		t.Errorf("got %q", got)
	}
}

func requestTarget(t *testing.T, u *url.URL) string {
	t.Helper()
	var wire bytes.Buffer
	if err := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).Write(&wire); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(&wire).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(line)[1]
}

// A path that passes Check and Set reaches the upstream as it is, below the
// base path, in every reading of it.
func FuzzForward(f *testing.F) {
	for _, seed := range []string{"/a%2Fb", "/%252e%252e/", "/..;/", "//x", "/\\", "/%c0%ae", "/a|b?", "/%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		parsed, err := url.ParseRequestURI("/connector/x" + rest)
		if err != nil {
			return
		}
		segment, rest, ok := Cut(Of(parsed), "/connector")
		if !ok || segment != "x" || Check(rest) != nil {
			return
		}
		u := &url.URL{Scheme: "http", Host: "upstream.example"}
		joined := Join("/base", rest)
		if Set(u, joined) != nil {
			t.Fatalf("%q passes Check but Set refuses it below a base path", rest)
		}
		if got := u.RequestURI(); got != joined {
			t.Fatalf("%q: writes %q", joined, got)
		}
		if resolved := u.JoinPath().Path; !strings.HasPrefix(resolved, "/base") {
			t.Fatalf("%q leaves the base path: %q", joined, resolved)
		}
		decoded := joined
		for range maxDecodings {
			decoded = decode(decoded)
			for _, segment := range strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' }) {
				if segment == ".." {
					t.Fatalf("%q has a dot segment: %q", joined, decoded)
				}
			}
		}
	})
}

func TestIsLiteral(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/": true, "/a%2Fb": true, "//a": true, "": false, "a": false, "/{a}": false, "/a?b": false, "/a#b": false, "/a b": false,
		"/a/../b": false, "/a/%2e%2e/b": false, "/a\\b": false, "/a\nb": false,
	} {
		if got := IsLiteral(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}
