package anychannel

import (
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The manifests of these tests.
const (
	atOmni  = "https://omni.example/int/ig/manifest.json"
	atPort  = "https://omni.example:8443/int/ig/manifest.json"
	atIDN   = "https://bücher.example/int/ig/manifest.json"
	atUpper = "HTTPS://OMNI.Example/int/ig/manifest.json"
	atDot   = "https://omni.example./int/ig/manifest.json"
	atQuery = "https://omni.example/int/ig/manifest.json?v=1&w"
	atRoot  = "https://omni.example"
	atIPv4  = "https://192.0.2.1/int/ig/manifest.json"
	atIPv6  = "https://[2001:DB8::1]:8443/int/ig/manifest.json"
)

// resolutions are references and the URLs that they mean at a manifest, or "".
var resolutions = []struct{ base, reference, want string }{
	// relative references
	{atOmni, "/like", "https://omni.example/like"},
	{atOmni, "like", "https://omni.example/int/ig/like"},
	{atOmni, "like/", "https://omni.example/int/ig/like/"},
	{atOmni, "./like", "https://omni.example/int/ig/like"},
	{atOmni, "?x=1", "https://omni.example/int/ig/manifest.json?x=1"},
	{atOmni, "?", "https://omni.example/int/ig/manifest.json?"},
	{atOmni, "/like?", "https://omni.example/like?"},
	{atOmni, "/like?x=1&x=1&&=;y", "https://omni.example/like?x=1&x=1&&=;y"},
	{atOmni, "/like??", "https://omni.example/like??"},
	{atOmni, "/", "https://omni.example/"},
	{atOmni, "", atOmni},
	{atOmni, "//omni.example/like", "https://omni.example/like"},
	{atOmni, "//omni.example", "https://omni.example/"},
	{atOmni, "//omni.example?x=1", "https://omni.example/?x=1"},
	{atQuery, "like", "https://omni.example/int/ig/like"},
	{atQuery, "?x=1", "https://omni.example/int/ig/manifest.json?x=1"},
	{atQuery, "", atQuery},
	{atRoot, "like", "https://omni.example/like"},
	{atRoot, "/like", "https://omni.example/like"},
	{atRoot, "?x=1", "https://omni.example/?x=1"},
	{atRoot, "", "https://omni.example/"},

	// dot segments go as RFC 3986 has it, where they are written as such
	{atOmni, ".", "https://omni.example/int/ig/"},
	{atOmni, "..", "https://omni.example/int/"},
	{atOmni, "../like", "https://omni.example/int/like"},
	{atOmni, "../../like", "https://omni.example/like"},
	{atOmni, "../../../like", "https://omni.example/like"},
	{atOmni, "/../../like", "https://omni.example/like"},
	{atOmni, "/a/./b/../like", "https://omni.example/a/like"},
	{atOmni, "/a/..", "https://omni.example/"},
	{atOmni, "/...", "https://omni.example/..."},
	{atOmni, "/.well-known/x", "https://omni.example/.well-known/x"},
	{atOmni, "/x?a=/../", "https://omni.example/x?a=/../"},
	{atOmni, "%2e%2e/like", ""},
	{atOmni, "/%2E%2e/like", ""},
	{atOmni, "/.%2e/like", ""},
	{atOmni, "/%2e", ""},
	{atOmni, "/a%2f..%2flike", ""},
	{atOmni, "/..%2flike", ""},
	{atOmni, "/%252e%252e/like", ""},
	{atOmni, "/%25252e%25252e/like", ""},
	{atOmni, "/%2525252525252e", ""},
	{atOmni, "/..;/like", ""},
	{atOmni, "/%2e%2e%3bx/like", ""},
	{atOmni, "/%c0%ae%c0%ae/like", ""},

	// absolute URLs of the manifest's own host
	{atOmni, "https://omni.example/like", "https://omni.example/like"},
	{atOmni, "https://omni.example", "https://omni.example/"},
	{atOmni, "https://omni.example?x=1", "https://omni.example/?x=1"},
	{atOmni, "https://omni.example?@evil.example/", "https://omni.example/?@evil.example/"},
	{atOmni, "HTTPS://OMNI.Example/Like", "https://omni.example/Like"},
	{atOmni, "https://omni.example./like", "https://omni.example/like"},
	{atOmni, "https://omni.example../like", ""},
	{atOmni, "https://.omni.example/like", ""},
	{atOmni, "https://omni.example:443/like", "https://omni.example/like"},
	{atOmni, "https://omni.example:/like", "https://omni.example/like"},
	{atOmni, "https://omni.example.:443/like", "https://omni.example/like"},
	{atOmni, "https://omni.example:0443/like", ""},
	{atOmni, "https://omni.example:444/like", ""},
	{atOmni, "https://omni.example:8443/like", ""},
	{atOmni, "https://omni.example:65979/like", ""}, // 443 in 16 bits
	{atOmni, "https://omni.example:+443/like", ""},
	{atOmni, "https://omni.example:４４３/like", ""},
	{atOmni, "https://omni.example:443:443/like", ""},
	{atOmni, "https://omni.example:https/like", ""},
	{atPort, "/like", "https://omni.example:8443/like"},
	{atPort, "https://omni.example:8443/like", "https://omni.example:8443/like"},
	{atPort, "//OMNI.EXAMPLE:8443/like", "https://omni.example:8443/like"},
	{atPort, "https://omni.example/like", ""},
	{atPort, "https://omni.example:443/like", ""},
	{atPort, "https://omni.example:/like", ""},
	{atUpper, "/like", "https://omni.example/like"},
	{atUpper, "https://omni.example/like", "https://omni.example/like"},
	{atDot, "/like", "https://omni.example/like"},
	{atDot, "https://omni.example/like", "https://omni.example/like"},
	{atDot, "https://omni.example./like", "https://omni.example/like"},
	{atIPv4, "/like", "https://192.0.2.1/like"},
	{atIPv4, "https://192.0.2.1:443/like", "https://192.0.2.1/like"},
	{atIPv4, "https://3221225985/like", ""}, // the same address in other spellings
	{atIPv4, "https://192.0.513/like", ""},
	{atIPv4, "https://0300.0.2.1/like", ""},
	{atIPv4, "https://[::ffff:192.0.2.1]/like", ""},
	{atIPv6, "/like", "https://[2001:db8::1]:8443/like"},
	{atIPv6, "https://[2001:db8::1]:8443/like", "https://[2001:db8::1]:8443/like"},
	{atIPv6, "https://[2001:db8::1%25eth0]:8443/like", ""},
	{atIPv6, "https://[2001:db8::1]/like", ""},
	{atIPv6, "https://2001:db8::1:8443/like", ""},

	// a host's Unicode and ASCII forms are one
	{atIDN, "/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://bücher.example/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://BÜCHER.example/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://bu\u0308cher.example/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://xn--bcher-kva.example/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://XN--BCHER-KVA.example/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://b%C3%BCcher.example/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://bücher。example/like", "https://xn--bcher-kva.example/like"},
	{atIDN, "https://bucher.example/like", ""},
	{atOmni, "https://omni。example/like", "https://omni.example/like"},
	{atOmni, "https://ｏｍｎｉ.example/like", "https://omni.example/like"},
	{atOmni, "https://оmni.example/like", ""}, // a Cyrillic o
	{atOmni, "https://xn--omni-.example/like", ""},

	// other hosts, and what some parsers take for one
	{atOmni, "https://evil.example/like", ""},
	{atOmni, "//evil.example/like", ""},
	{atOmni, "https://omni.example.evil/", ""},
	{atOmni, "https://a.omni.example/like", ""},
	{atOmni, "https://example/like", ""},
	{atOmni, "https://evilomni.example/like", ""},
	{atOmni, "https://omni.example,evil.example/like", ""},
	{atOmni, "https://omni.example;evil.example/like", ""},
	{atOmni, "https://%6fmni.example/like", ""},
	{atOmni, "https://omni%2eexample/like", ""},
	{atOmni, "https://omni.example%2f.evil.example/like", ""},
	{atOmni, "https://omni.example%00.evil.example/like", ""},
	{atOmni, "https://omni.example%40evil.example/like", ""},
	{atOmni, "https://[omni.example]/like", ""},
	{atOmni, "https://[::1]/like", ""},
	{atOmni, "https://127.0.0.1/like", ""},
	{atOmni, "///like", ""},
	{atOmni, "///evil.example/like", ""},
	{atOmni, "////evil.example/like", ""},
	{atOmni, "//", ""},
	{atOmni, "//:443/like", ""},
	{atOmni, "//./like", ""},
	{atOmni, `\\evil.example/like`, ""},
	{atOmni, `/\evil.example/like`, ""},
	{atOmni, `\/evil.example/like`, ""},
	{atOmni, `/a\b`, ""},
	{atOmni, "/a%5cb", ""},
	{atOmni, "/%5cevil.example", ""},
	{atOmni, "/a%255cb", ""},

	// userinfo
	{atOmni, "https://user@omni.example/like", ""},
	{atOmni, "https://user:password@omni.example/like", ""},
	{atOmni, "https://@omni.example/like", ""},
	{atOmni, "//@omni.example/like", ""},
	{atOmni, "https://omni.example@evil.example/like", ""},
	{atOmni, "https://omni.example:443@evil.example/like", ""},
	{atOmni, `https://evil.example\@omni.example/like`, ""},
	{atOmni, "/@user", "https://omni.example/@user"},
	{atOmni, "@user", "https://omni.example/int/ig/@user"},

	// schemes
	{atOmni, "http://omni.example/like", ""},
	{atOmni, "http://omni.example:443/like", ""},
	{atOmni, "javascript:alert(1)", ""},
	{atOmni, "data:application/json,1", ""},
	{atOmni, "ftp://omni.example/like", ""},
	{atOmni, "wss://omni.example/like", ""},
	{atOmni, "file:///like", ""},
	{atOmni, "https:like", ""},
	{atOmni, "https:/like", ""},
	{atOmni, "https:///like", ""},
	{atOmni, "https:////omni.example/like", ""},
	{atOmni, "https://", ""},
	{atOmni, "https:", ""},
	{atOmni, "https:?x=1", ""},
	{atOmni, "://omni.example/like", ""},
	{atOmni, "like:foo", ""},
	{atOmni, "1:foo", ""},
	{atOmni, ":foo", ""},
	{atOmni, "./like:foo", "https://omni.example/int/ig/like:foo"},
	{atOmni, "like/a:foo", "https://omni.example/int/ig/like/a:foo"},
	{atOmni, "/like:foo", "https://omni.example/like:foo"},

	// characters
	{atOmni, "/like#", ""},
	{atOmni, "/like#top", ""},
	{atOmni, "#top", ""},
	{atOmni, "/li ke", ""},
	{atOmni, " /like", ""},
	{atOmni, "/like\t", ""},
	{atOmni, "/\n/evil.example/like", ""},
	{atOmni, "/like HTTP/1.1\r\nX-Injected: yes", ""},
	{atOmni, "/like\x00", ""},
	{atOmni, "/like\x7f", ""},
	{atOmni, "/like\u0085", ""},
	{atOmni, "/like\u00a0", ""},
	{atOmni, "/like\u2028", ""},
	{atOmni, "/like?\u2029", ""},
	{atOmni, "/%00", ""},
	{atOmni, "/like%0a", ""},
	{atOmni, "/like%0d%0aX:%20y", ""},
	{atOmni, "/like%250a", ""},
	{atOmni, "/like%7f", ""},
	{atOmni, "/like?a=%0d%0a%00", "https://omni.example/like?a=%0d%0a%00"}, // the service's to read
	{atOmni, "/%", ""},
	{atOmni, "/%4", ""},
	{atOmni, "/%zz", ""},
	{atOmni, "/%%41", ""},
	{atOmni, "/like?a=%zz", ""},
	{atOmni, "/like?a=%", ""},
	{atOmni, "/like\xff", ""},
	{atOmni, "/like\xc3", ""},
	{atOmni, "/like\xed\xa0\x80", ""}, // half a surrogate pair
	{atOmni, "/lïke", "https://omni.example/l%C3%AFke"},
	{atOmni, "/like?a=ü", "https://omni.example/like?a=%C3%BC"},
	{atOmni, "/like/👍", "https://omni.example/like/%F0%9F%91%8D"},
	{atOmni, "/l%C3%AFke", "https://omni.example/l%C3%AFke"},
	{atOmni, "/l%c3%afke", "https://omni.example/l%c3%afke"},
	{atOmni, "/a|b", "https://omni.example/a%7Cb"},
	{atOmni, "/a?b|\"<>`^{c}", "https://omni.example/a?b%7C%22%3C%3E%60%5E%7Bc%7D"},
	{atOmni, "/{env.HOME}", "https://omni.example/%7Benv.HOME%7D"},
	{atOmni, "/a%2Fb%2f", "https://omni.example/a%2Fb%2f"},
	{atOmni, "/a//b//", "https://omni.example/a//b//"},
	{atOmni, "/a;b=c;d", "https://omni.example/a;b=c;d"},
	{atOmni, "/a%3Bb%3bc", "https://omni.example/a%3Bb%3bc"},
	{atOmni, "/%41%7e~", "https://omni.example/%41%7e~"},
	{atOmni, "/a%20b+c", "https://omni.example/a%20b+c"},
	{atOmni, "/a%23b%3Fc", "https://omni.example/a%23b%3Fc"},
	{atOmni, "/%25", "https://omni.example/%25"},
	{atOmni, "/!$&'()*,:=@[]", "https://omni.example/!$&'()*,:=@[]"},
}

func TestResolve(t *testing.T) {
	for _, tc := range resolutions {
		base, err := parseEndpoint(tc.base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := base.resolve(tc.reference)
		if tc.want == "" {
			wantSilentError(t, tc.reference, got, err)
			continue
		}
		if err != nil || got.String() != tc.want {
			t.Errorf("%q at %s: %v, %v, want %s", tc.reference, tc.base, got, err, tc.want)
		}
	}
}

func TestParseEndpoint(t *testing.T) {
	for raw, want := range map[string]struct{ url, host string }{
		atOmni:                            {atOmni, "omni.example:443"},
		atPort:                            {atPort, "omni.example:8443"},
		atIDN:                             {"https://xn--bcher-kva.example/int/ig/manifest.json", "xn--bcher-kva.example:443"},
		atUpper:                           {atOmni, "omni.example:443"},
		atDot:                             {atOmni, "omni.example:443"},
		atQuery:                           {atQuery, "omni.example:443"},
		atRoot:                            {atRoot, "omni.example:443"},
		atIPv4:                            {atIPv4, "192.0.2.1:443"},
		atIPv6:                            {strings.ToLower(atIPv6), "[2001:db8::1]:8443"},
		"https://omni.example:443/m":      {"https://omni.example/m", "omni.example:443"},
		"https://omni.example:/m":         {"https://omni.example/m", "omni.example:443"},
		"https://omni.example.:8443/m":    {"https://omni.example:8443/m", "omni.example:8443"},
		"https://omni.example/ä%2Fb?ü":    {"https://omni.example/%C3%A4%2Fb?%C3%BC", "omni.example:443"},
		"https://localhost:8443/m?a=/../": {"https://localhost:8443/m?a=/../", "localhost:8443"},
	} {
		got, err := parseEndpoint(raw)
		if err != nil || got.url.String() != want.url || got.host != want.host {
			t.Errorf("%s: %v %s, %v", raw, got.url, got.host, err)
		}
	}
	for _, raw := range []string{
		"", "manifest.json", "/omni/manifest.json", "//omni.example/m", "omni.example/m", "omni.example:443/m",
		"http://omni.example/m", "ftp://omni.example/m", "https", "https:", "https://", "https:///omni/m", "https:omni.example/m",
		"https:/omni.example/m", "https:////omni.example/m", "https://:443/omni", "https://./omni", "https://../omni",
		"https://omni.example../m", "https://omni..example/m", "https://.omni.example/m", "https://-omni.example/m", "https://omni.example:port/m",
		"https://omni.example:0/m", "https://omni.example:0443/m", "https://omni.example:65536/m",
		"https://user@omni.example/m", "https://user:omni@omni.example/m", "https://@omni.example/m",
		"https://omni.example/m#", "https://omni.example/m#top", `https:\\omni.example/m`, `https://omni.example\m`,
		"https://omni example/m", "https://omni.example/m ", "\thttps://omni.example/m", "https://omni.example/m\r\n",
		"https://omni.example/m\u00a0", "https://omni.example/\xff", "https://omni.example/%", "https://omni.example/%zz",
		"https://omni.example/../m", "https://omni.example/a/./m", "https://omni.example/%2e%2e/m", "https://omni.example/a%5cm",
		"https://omni.example/%00", "https://omni.example/%0a", "https://{env.OMNI}/m", "https://%6fmni.example/m",
		"https://[2001:db8::omni]/m", "https://[2001:db8::1/omni", "https://2001:db8::1/omni", "https://xn--omni-.example/m",
	} {
		got, err := parseEndpoint(raw)
		wantSilentError(t, raw, got.url, err)
	}
}

// wantSilentError wants a URL to be refused, with an error that repeats nothing
// of it: errors are logged, and a manifest's URL may hold a token.
func wantSilentError(t *testing.T, raw string, got *url.URL, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%q was taken for %s", raw, got)
		return
	}
	for _, word := range regexp.MustCompile(`omni|evil|user|like|example`).FindAllString(raw, -1) {
		if strings.Contains(strings.ReplaceAll(err.Error(), "a user or password", ""), word) {
			t.Errorf("%q: the error repeats it: %v", raw, err)
		}
	}
}

// Whatever an app asks for, the request goes to the manifest's host, and its
// request line is what was checked.
func FuzzResolve(f *testing.F) {
	for _, tc := range resolutions {
		f.Add(tc.reference)
	}
	var bases []endpoint
	for _, raw := range []string{atOmni, atPort, atIDN, atQuery, atRoot, atIPv6} {
		base, err := parseEndpoint(raw)
		if err != nil {
			f.Fatal(err)
		}
		bases = append(bases, base)
	}
	visible := regexp.MustCompile(`^[!-~]+$`)
	f.Fuzz(func(t *testing.T, reference string) {
		if len(reference) > 4*maxPostToPath {
			return // it is refused before it is resolved
		}
		for _, base := range bases {
			u, err := base.resolve(reference)
			if err != nil {
				continue
			}
			if u.Scheme != "https" || u.Host != base.url.Host || u.User != nil || u.Opaque != "" || u.Fragment != "" ||
				!strings.HasPrefix(u.Path, "/") || strings.Contains(u.String(), "#") {
				t.Errorf("%q: %#v", reference, u)
			}
			if escaped := u.EscapedPath(); hasDotSegment(escaped) {
				t.Errorf("%q: a dot segment in %q", reference, escaped)
			}
			if line := u.RequestURI(); line[0] != '/' || !visible.MatchString(line) {
				t.Errorf("%q: request line %q", reference, line)
			}
			// who reads it again, as a proxy or the service does, reads the same
			if again, err := url.Parse(u.String()); err != nil || !reflect.DeepEqual(again, u) {
				t.Errorf("%q: %#v, %v, want %#v", reference, again, err, u)
			}
			if again, err := base.resolve(u.String()); err != nil || again.String() != u.String() {
				t.Errorf("%q: %s resolves to %v, %v", reference, u, again, err)
			}
		}
	})
}

var escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// hasDotSegment looks for one in every number of decodings, in a way that is not
// the handler's own.
func hasDotSegment(path string) bool {
	for {
		for _, segment := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment, _, _ = strings.Cut(segment, ";"); segment == "." || segment == ".." {
				return true
			}
		}
		decoded := escapes.ReplaceAllStringFunc(path, func(escape string) string {
			decoded, _ := url.PathUnescape(escape)
			return decoded
		})
		if decoded == path {
			return false
		}
		path = decoded
	}
}
