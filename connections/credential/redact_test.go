package credential

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const odd = "k3y +/=&%41ü?-_"

// redacting returns what is left of a header's value in an answer to a request
// with the key in its query.
func redacting(t testing.TB, key, value string) string {
	t.Helper()
	a, err := New(APIKey{Place{"query", "key"}})
	if err != nil {
		t.Fatal(err)
	}
	asked := &url.URL{RawQuery: "a=harmless&key=" + escape(key) + "&b=c"}
	answer := http.Header{"Location": {"first", value}, "Content-Length": {key}}
	a.Redact(answer, asked, nil)
	if answer["Location"][0] != "first" || answer.Get("Content-Length") != key {
		t.Errorf("%q", answer)
	}
	return answer["Location"][1]
}

// S24: in all the forms that the API may repeat it in.
func TestRedact(t *testing.T) {
	lower := func(text string) string {
		return strings.NewReplacer("%2B", "%2b", "%2F", "%2f", "%3D", "%3d", "%C3%BC", "%c3%bc", "%3F", "%3f").Replace(text)
	}
	for form, written := range map[string]string{
		"raw":                  odd,
		"query":                url.QueryEscape(odd),
		"path":                 url.PathEscape(odd),
		"spaces":               strings.ReplaceAll(url.QueryEscape(odd), "+", "%20"),
		"lower hex":            lower(url.QueryEscape(odd)),
		"mixed hex":            "%6B" + lower(url.QueryEscape(odd))[1:],
		"twice":                url.QueryEscape(url.QueryEscape(odd)),
		"thrice":               url.QueryEscape(url.QueryEscape(url.QueryEscape(odd))),
		"base64":               base64.StdEncoding.EncodeToString([]byte(odd)),
		"base64, bare":         base64.RawStdEncoding.EncodeToString([]byte(odd)),
		"base64, for URLs":     base64.RawURLEncoding.EncodeToString([]byte(odd)),
		"base64, encoded":      url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(odd))),
		"base64 of the query":  base64.StdEncoding.EncodeToString([]byte("a=b&key=" + odd + "&c")),
		"base64 as in a URL":   base64.StdEncoding.EncodeToString([]byte("a=b&key=" + escape(odd) + "&c")),
		"base64 of that and x": base64.URLEncoding.EncodeToString([]byte("xa=b&key=" + odd + "&c")),
		"base64 of yet more":   base64.RawURLEncoding.EncodeToString([]byte("xxa=b&key=" + odd + "&cd")),
	} {
		for _, frame := range [][2]string{{"", ""}, {"https://h/%zz?a=1&key=", "&b=%2F%"}, {"<https://h/?key=", ">; rel=next"}} {
			got := redacting(t, odd, frame[0]+written+frame[1])
			if !strings.Contains(got, "REDACTED") || !strings.HasPrefix(got, frame[0]) || !strings.HasSuffix(got, frame[1]) {
				t.Errorf("%s: %q is left of %q", form, got, frame[0]+written+frame[1])
			}
			if !strings.Contains(form, "base64") && got != frame[0]+"REDACTED"+frame[1] {
				t.Errorf("%s: %q", form, got)
			}
			wantNoKey(t, form, got)
		}
	}
	if got := redacting(t, "s3cret", "s3cret,s3crets3cret"); got != "REDACTED,REDACTEDREDACTED" {
		t.Errorf("%q", got)
	}
	for _, other := range []string{"", "%", "%2", "https://h/?a=harmless&b=c", "k3y", "s3cre", "S3CRET"} {
		if got := redacting(t, "s3cret", other); got != other {
			t.Errorf("%q became %q", other, got)
		}
	}
	// what stands in any header by chance
	if got := redacting(t, "1", "https://h/1"); got != "https://h/1" {
		t.Errorf("%q", got)
	}
}

// wantNoKey looks for the odd key's middle, decoded.
func wantNoKey(t *testing.T, form, text string) {
	t.Helper()
	for range 4 {
		if strings.Contains(text, "k3y") || strings.Contains(text, "%41ü") {
			t.Errorf("%s: %q", form, text)
		}
		text = unescape(text)
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for from := range text {
			decoded, _ := encoding.DecodeString(text[from : from+(len(text)-from)/4*4])
			if strings.Contains(string(decoded), "y +/=&") {
				t.Errorf("%s: %q", form, text)
			}
		}
	}
}

// What is elsewhere is not looked for, and an answer's own header not copied.
func TestRedactNothing(t *testing.T) {
	a, err := New(APIKey{Place{"header", "key"}})
	if err != nil {
		t.Fatal(err)
	}
	answer, asked := http.Header{"Location": {"https://h/?key=s3cret"}}, &url.URL{RawQuery: "key=s3cret"}
	if n := testing.AllocsPerRun(10, func() { a.Redact(answer, asked, nil) }); n > 0 || answer.Get("Location") != "https://h/?key=s3cret" {
		t.Errorf("%v allocations, %v", n, answer)
	}
}

// FuzzRedact checks that what is left of a text does not have the key.
func FuzzRedact(f *testing.F) {
	f.Add("s3cret", "https://h/?key=s3cret&s3cr%65t")
	f.Add("a+b c%41", "a%2bb+c%2541%%")
	f.Fuzz(func(t *testing.T, key, text string) {
		if len(key) < minRedacted || len(key) > 64 || len(text) > 1<<12 {
			t.Skip()
		}
		got := redact(text, patternsOf([]string{key}))
		for left := range strings.SplitSeq(got, redaction) {
			for range maxDecodings + 1 {
				if strings.Contains(left, key) && !strings.Contains(redaction, key) {
					t.Fatalf("%q of %q", got, text)
				}
				left = decodable{text: left}.decode().text
			}
		}
	})
}
