package leaktest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const secret = `pl4nted <se>c/r+e=t&%41"\~?9`

// A secret is found in whatever it is written with, and by whomever. What writes
// it here is not what the scanner makes its forms with, where there is another.
func TestFind(t *testing.T) {
	var s Scanner
	s.Add("other", "0ther:of/the+same?kind")
	s.Add("planted", secret)
	request, err := http.NewRequest("GET", "https://h/?"+url.Values{"a": {"b"}, "token": {secret}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("someone", secret)
	document, _ := json.Marshal(map[string]any{"a": 1, "token": secret})
	nested, _ := json.Marshal(map[string]any{"body": string(document)})
	var logged, escaped bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("failed", "form", url.Values{"code": {secret}}.Encode())
	_ = xml.EscapeText(&escaped, []byte(secret))
	places := map[string]string{
		"text":                "a " + secret + " b",
		"query":               request.URL.String(),
		"small query":         strings.NewReplacer("%3C", "%3c", "%3E", "%3e", "%2F", "%2f", "%2B", "%2b", "%3D", "%3d", "%5C", "%5c", "%3F", "%3f").Replace(request.URL.String()),
		"path":                (&url.URL{Path: "/a/" + secret}).EscapedPath(),
		"segment":             "/a/" + url.PathEscape(secret) + "/b",
		"query of a query":    url.Values{"next": {request.URL.String()}}.Encode(),
		"JSON":                string(document),
		"JSON in JSON":        string(nested),
		"a log":               logged.String(),
		"%v of a struct":      fmt.Sprintf("%+v", struct{ Token string }{secret}),
		"%#v of a struct":     fmt.Sprintf("%#v", struct{ Token string }{secret}),
		"%v of bytes":         fmt.Sprintf("%v", []byte(secret)),
		"%x":                  fmt.Sprintf("%x", secret),
		"%X":                  fmt.Sprintf("%X", secret),
		"bytea":               fmt.Sprintf(`(1,"\\x%x")`, secret),
		"a row":               `(1,"` + strings.ReplaceAll(strings.ReplaceAll(secret, `\`, `\\`), `"`, `""`) + `")`,
		"basic":               request.Header.Get("Authorization"),
		"basic, form-encoded": "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape("an id")+":"+url.QueryEscape(secret))),
		"bytes in JSON":       string(must(json.Marshal([]byte("x" + secret)))),
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		for before := range 4 {
			for after := range 4 {
				text := strings.Repeat("\xff", before) + secret + strings.Repeat("\xff", after)
				places[fmt.Sprint("base64 ", encoding, before, after)] = "a=" + encoding.EncodeToString([]byte(text)) + ";"
			}
		}
	}
	for place, text := range places {
		text = strings.Repeat("nothing ", 1000) + text + strings.Repeat(" nothing", 1000)
		if found := s.Find(text); len(found) != 1 || found[0].Secret != "planted" {
			t.Errorf("%s: found %v in %s", place, found, strings.ReplaceAll(text, "nothing ", ""))
		}
	}
	for _, clean := range []string{"", "nothing", secret[1:16], strings.ToUpper(secret), "REDACTED"} {
		if found := s.Find(clean); found != nil {
			t.Errorf("found %v in %q", found, clean)
		}
	}
	if names := s.Names(); !slices.Equal(names, []string{"other", "planted"}) {
		t.Errorf("%q", names)
	}
}

// Half of a long secret is found; what is allowed in a place is not a leak there.
func TestCheck(t *testing.T) {
	var s Scanner
	long := strings.Repeat("0123456789abcdef", 3)
	s.Add("long", long)
	for _, part := range []string{long[:len(long)/2], long[len(long)/2:]} {
		if found := s.Find("cut off: " + part + "…"); len(found) != 1 {
			t.Errorf("found %v", found)
		}
	}
	for text, leaks := range map[string]int{"a=" + long: 0, "a=" + long + "&b=" + long: 1, "nothing": 0} {
		failed := &counted{TB: t}
		if s.Check(failed, "here", text, "a="+long); failed.errors != leaks {
			t.Errorf("%q: %d leaks, want %d", text, failed.errors, leaks)
		}
	}
}

// counted is a test that counts its errors.
type counted struct {
	testing.TB
	errors int
}

func (c *counted) Helper()               {}
func (c *counted) Errorf(string, ...any) { c.errors++ }

func must(encoded []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return encoded
}
