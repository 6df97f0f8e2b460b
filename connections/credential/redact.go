package credential

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const (
	// minRedacted is the shortest text of the query that is looked for, and minHidden
	// of what is not in the URL, such as a password that somebody has thought of:
	// shorter ones stand in any header by chance.
	minRedacted = 4
	minHidden   = 8

	// maxDecodings is how often what an answer has is percent-decoded: a URL in the
	// query of a URL in the query of another one is decoded three times.
	maxDecodings = 3
)

// sender is a credential that stands in requests as it is.
type sender interface{ sent() []string }

// repeatable is what an answer may repeat.
type repeatable struct {
	shortest int             // no form of it is shorter; 0: there is nothing
	patterns func() []string // made once, when a field is long enough
}

func repeatableOf(values []string) (r repeatable) {
	if len(values) > 0 {
		r.shortest = len(slices.MinFunc(values, func(a, b string) int { return len(a) - len(b) }))
		r.patterns = sync.OnceValue(func() []string { return patternsOf(values) })
	}
	return r
}

// credentialOf returns a credential of a scheme's.
func credentialOf(kind string, a applier) Credential {
	var values []string
	if s, ok := a.(sender); ok {
		values = slices.DeleteFunc(s.sent(), func(value string) bool { return len(value) < minHidden })
	}
	return Credential{hide(kept{kind, a, repeatableOf(values)})}
}

// Redact replaces in the header of an answer, or its trailers, what the schemes
// have put into the request: into the URL that was asked, which APIs repeat in
// Location and Link, or elsewhere, from these credentials, which an API may echo.
// From an answer's header it would get into logs, too. It is found
// percent-encoded, also with plus signs for spaces, and in base64, alone or in a
// longer text. Bodies are not looked at: they are streamed, and may be compressed,
// signed or a part.
func (a *Auth) Redact(answer http.Header, asked *url.URL, credentials []Credential) {
	for _, c := range credentials {
		c.reveal().redact(answer)
	}
	if a.hasQuery {
		repeatableOf(a.inQuery(asked.RawQuery)).redact(answer)
	}
}

func (r repeatable) redact(answer http.Header) {
	if r.shortest == 0 {
		return
	}
	for name, fields := range answer {
		if name == "Content-Length" {
			continue // a number, which frames the answer
		}
		for i, field := range fields {
			if len(field) < r.shortest {
				continue
			}
			if clean := redact(field, r.patterns()); clean != field {
				// others may have the slice, too
				fields = slices.Clone(fields)
				fields[i], answer[name] = clean, fields
			}
		}
	}
}

// inQuery returns what the schemes have put into a query.
func (a *Auth) inQuery(raw string) (values []string) {
	for parameter := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		if !spells(a.queries, unescape(name)) {
			continue
		}
		if value = unescape(value); len(value) >= minRedacted {
			values = append(values, value)
		}
	}
	return values
}

// patternsOf returns the texts to look for, as redact compares them.
func patternsOf(values []string) (patterns []string) {
	for _, value := range values {
		patterns = append(patterns, foldPlus(value))
		patterns = append(patterns, inBase64(value)...)
		// in base64, it may be as it stands in a URL
		if escaped := escape(value); escaped != value {
			patterns = append(patterns, inBase64(escaped)...)
		}
	}
	return patterns
}

// inBase64 returns how a text may be written in base64, wherever it is in a longer
// one.
func inBase64(text string) (patterns []string) {
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 { // bytes in front of it, that share digits with it
			encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
			if (before+len(text))%3 != 0 {
				encoded = encoded[:len(encoded)-1] // shared with what is behind
			}
			if encoded = encoded[(8*before+5)/6:]; len(encoded) >= minRedacted {
				patterns = append(patterns, foldPlus(encoded))
			}
		}
	}
	return patterns
}

// foldPlus makes the two readings of a plus sign one.
func foldPlus(text string) string { return strings.ReplaceAll(text, "+", " ") }

// span is a part of a text.
type span struct{ from, to int }

// redact replaces all that is one of the patterns once it is percent-decoded, up
// to three times.
func redact(text string, patterns []string) string {
	var found []span
	decoded := decodable{text: text}
	for range maxDecodings + 1 {
		folded := foldPlus(decoded.text)
		for _, pattern := range patterns {
			for from := 0; ; {
				i := strings.Index(folded[from:], pattern)
				if i < 0 {
					break
				}
				from += i
				found = append(found, span{decoded.at(from), decoded.at(from + len(pattern))})
				from += len(pattern)
			}
		}
		if strings.IndexByte(decoded.text, '%') < 0 {
			break
		}
		decoded = decoded.decode()
	}
	return without(text, found)
}

// without replaces the spans, which may overlap.
func without(text string, spans []span) string {
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	var out strings.Builder
	end := 0
	for _, s := range spans {
		if s.from >= end {
			out.WriteString(text[end:s.from])
			out.WriteString(redaction)
		}
		end = max(end, s.to)
	}
	out.WriteString(text[end:])
	return out.String()
}

// decodable is a text that knows where its bytes were before it was decoded.
type decodable struct {
	text    string
	origins []int // of each byte and the end; nil: it was not decoded
}

func (d decodable) at(i int) int {
	if d.origins == nil {
		return i
	}
	return d.origins[i]
}

// decode undoes one level of percent-encoding. What is not an escape stays.
func (d decodable) decode() decodable {
	out := make([]byte, 0, len(d.text))
	origins := make([]int, 0, len(d.text)+1)
	for i := 0; i < len(d.text); i++ {
		origins = append(origins, d.at(i))
		if d.text[i] == '%' && i+2 < len(d.text) {
			if decoded, err := url.PathUnescape(d.text[i : i+3]); err == nil {
				out = append(out, decoded...)
				i += 2
				continue
			}
		}
		out = append(out, d.text[i])
	}
	return decodable{string(out), append(origins, d.at(len(d.text)))}
}
