package leaktest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"strings"
)

// textsOf are the texts that stand for a secret in a log, a document or a URL.
func textsOf(secret string) map[string]string {
	query := url.QueryEscape(secret)
	quoted := jsonOf(secret, true)
	texts := map[string]string{
		"as it is":                         secret,
		"percent-encoded":                  query,
		"percent-encoded, spaces too":      strings.ReplaceAll(query, "+", "%20"),
		"percent-encoded in a path":        (&url.URL{Path: "/" + secret}).EscapedPath()[1:],
		"percent-encoded as a segment":     url.PathEscape(secret),
		"percent-encoded all over":         each(secret, "%%%02X"),
		"percent-encoded all over, small":  each(secret, "%%%02x"),
		"percent-encoded twice":            url.QueryEscape(query),
		"with plus signs for spaces":       strings.ReplaceAll(secret, " ", "+"),
		"in JSON":                          quoted,
		"in JSON, for HTML":                jsonOf(secret, false),
		"in JSON in JSON":                  jsonOf(quoted, true),
		"in JSON for HTML in JSON":         jsonOf(jsonOf(secret, false), true),
		"in JSON all over":                 each(secret, `\u%04x`),
		"in JSON, with escaped slashes":    strings.ReplaceAll(quoted, "/", `\/`),
		"in Go":                            strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"in HTML":                          html.EscapeString(secret),
		"in a template":                    template.HTMLEscapeString(secret),
		"in a row of SQL":                  strings.ReplaceAll(strings.ReplaceAll(secret, `\`, `\\`), `"`, `""`),
		"as a list of bytes":               strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
		"as a list of bytes in JSON or Go": strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(secret)), " ", ","), "[]"),
	}
	for _, name := range []string{"percent-encoded", "percent-encoded, spaces too", "percent-encoded in a path", "percent-encoded as a segment", "percent-encoded twice"} {
		texts[name+", small"] = smallHex(texts[name])
	}
	return texts
}

// bytesOf are the forms that a text's bytes are written in. In base64, it is
// looked for without the first and the last digit that it shares with what is
// around it in a longer text; so it is found alone, too.
func bytesOf(text string) map[string]string {
	forms := map[string]string{
		hex.EncodeToString([]byte(text)):                  "hexadecimal",
		strings.ToUpper(hex.EncodeToString([]byte(text))): "hexadecimal",
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
		for before := range 3 {
			digits := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
			if (before+len(text))%3 != 0 {
				digits = digits[:len(digits)-1]
			}
			forms[digits[(8*before+5)/6:]] = name
		}
	}
	return forms
}

func jsonOf(text string, bare bool) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(!bare)
	_ = encoder.Encode(text) // texts always encode
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(out.String()), `"`), `"`)
}

func each(text, format string) string {
	var out strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&out, format, text[i])
	}
	return out.String()
}

// smallHex makes the digits of percent-encoding small.
func smallHex(text string) string {
	out := []byte(text)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i:i+3], strings.ToLower(string(out[i:i+3])))
		}
	}
	return string(out)
}
