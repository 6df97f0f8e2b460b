package credential

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/f737063d/caddy-connector/internal/header"
)

// Where a credential can stand in a request.
const (
	inHeader = "header"
	inQuery  = "query"
	inCookie = "cookie"

	onConnection = "client certificate"
)

const (
	maxName  = 64
	maxValue = 8 << 10
)

// Place is where a scheme puts a credential.
type Place struct {
	In   string // header, query or cookie
	Name string // sent as spelled, by HTTP/1.1
}

// claim is a place that belongs to one scheme.
type claim struct{ in, name string }

func (c claim) overlaps(other claim) bool {
	return c.in == other.in && header.NewSet(c.name).Has(other.name)
}

func (c claim) String() string { return strings.TrimSpace(c.in + " " + c.name) }

// reserved are the fields that frame or route a message, or describe its body.
var reserved = header.NewSet(
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "Forwarded", "Host", "HTTP2-Settings", "Keep-Alive",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via",
)

func checkHeader(name string) error {
	switch {
	case len(name) > maxName || !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is not the name of a header", name)
	case reserved.Has(name):
		return fmt.Errorf("header %q has a meaning of its own", name)
	}
	return nil
}

func (p Place) check() error {
	switch p.In {
	case inHeader:
		return checkHeader(p.Name)
	case inCookie:
		if len(p.Name) > maxName || !httpguts.ValidHeaderFieldName(p.Name) { // a token, both
			return fmt.Errorf("%q is not the name of a cookie", p.Name)
		}
		return nil
	case inQuery:
		if p.Name == "" || len(p.Name) > maxName || !isVisible(p.Name) {
			return fmt.Errorf("%q is not the name of a parameter", p.Name)
		}
		return nil
	}
	return fmt.Errorf("a credential stands in a header, query or cookie, not in %q", p.In)
}

func (p Place) claim() claim {
	if p.In == inHeader {
		return claim{p.In, p.Name}
	}
	return claim{p.In, base(p.Name)}
}

// takes reports whether a value can stand in the place as it is.
func (p Place) takes(value string) bool {
	switch p.In {
	case inHeader:
		return isFieldValue(value)
	case inCookie: // RFC 6265, section 4.1.1
		return isVisible(value) && !strings.ContainsAny(value, "\",;\\")
	}
	return isClean(value)
}

// set puts a value into the place, which is empty.
func (p Place) set(r *http.Request, value string) {
	switch p.In {
	case inHeader:
		r.Header[p.Name] = []string{value}
	case inCookie:
		cookie := p.Name + "=" + value
		if others := r.Header["Cookie"]; len(others) > 0 {
			cookie = strings.Join(others, "; ") + "; " + cookie
		}
		r.Header["Cookie"] = []string{cookie}
	case inQuery:
		parameter := escape(p.Name) + "=" + escape(value)
		if r.URL.RawQuery != "" {
			parameter = r.URL.RawQuery + "&" + parameter
		}
		r.URL.RawQuery = parameter
	}
}

// escape percent-encodes a space, too, which is a plus sign to some servers only.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

var cookieField = header.NewSet("Cookie")

// dropCookies removes the named cookies; others keep their bytes.
func dropCookies(h http.Header, names header.Set) {
	var left []string
	for field, values := range h {
		if !cookieField.Has(field) {
			continue
		}
		for _, value := range values {
			for cookie := range strings.SplitSeq(value, ";") {
				cookie = strings.Trim(cookie, " \t")
				name, _, _ := strings.Cut(cookie, "=")
				if name = strings.Trim(name, " \t"); cookie != "" && !spells(names, name) {
					left = append(left, cookie)
				}
			}
		}
	}
	cookieField.Strip(h)
	if len(left) > 0 {
		h["Cookie"] = []string{strings.Join(left, "; ")}
	}
}

// withoutParameters removes the named parameters from a query, in all spellings
// that some server takes for them; the others keep their bytes. They are split at
// semicolons, too, because some servers do.
func withoutParameters(raw string, names header.Set) string {
	var left strings.Builder
	dropped := false
	for raw != "" {
		separator := ""
		if raw[0] == '&' || raw[0] == ';' {
			separator, raw = raw[:1], raw[1:]
		}
		end := strings.IndexAny(raw, "&;")
		if end < 0 {
			end = len(raw)
		}
		parameter := raw[:end]
		raw = raw[end:]
		name, _, _ := strings.Cut(parameter, "=")
		if spells(names, unescape(name)) {
			dropped = true
			continue
		}
		if left.Len() > 0 || !dropped {
			left.WriteString(separator)
		}
		left.WriteString(parameter)
	}
	return left.String()
}

// spells reports whether some server takes a name for one of the set's. PHP, for
// one, skips leading spaces, and reads a bracket that isn't closed as it does a
// dot.
func spells(names header.Set, name string) bool {
	name = strings.TrimLeft(name, " ")
	return names.Has(base(name)) || names.Has(strings.Replace(name, "[", "_", 1))
}

// base cuts off the index that makes an array of a name, and what servers that
// take it for text of C don't read.
func base(name string) string {
	if i := strings.IndexAny(name, "[\x00"); i > 0 {
		return name[:i]
	}
	return name
}

// unescape decodes what can be decoded, and leaves the rest, as servers do that
// don't refuse it.
func unescape(text string) string {
	text = strings.ReplaceAll(text, "+", " ")
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if decoded, err := url.PathUnescape(text[i : i+3]); err == nil {
				out.WriteString(decoded)
				i += 2
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
