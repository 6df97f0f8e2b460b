package target

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/f737063d/caddy-connector/internal/header"
)

// Prefixes are what the names of control headers begin with: Versori's, and ours.
// What begins so is never forwarded, in any spelling, known to us or not.
var prefixes = [...]string{"x-versori-", "x-connector-"}

// The control headers, behind either prefix.
const (
	variableField = "connection-variable"
	ignoreField   = "ignore-headers"
	overrideField = "override-base-url"
	refreshField  = "force-refresh-credential"
)

// Bounds of what control headers say.
const (
	maxVariables = 64
	maxIgnored   = 64
	maxControl   = 8 << 10 // bytes of one header, all its values
)

// Controls are what the control headers of a request ask for.
type Controls struct {
	// Variables are for this request alone: form-urlencoded pairs, of which the
	// later win.
	Variables map[string]string

	// ForceRefresh is whether the credential is refreshed first.
	ForceRefresh bool

	ignored  header.Set
	override string // as it came, or ""
}

// isControl reports whether a header field is for the edge alone.
func isControl(name string) bool {
	return header.HasPrefix(name, prefixes[0]) || header.HasPrefix(name, prefixes[1])
}

// ReadControls reads the control headers of a request. Other spellings than
// theirs, but for case, are not read. The error is a *Refusal.
func ReadControls(h http.Header) (Controls, error) {
	var c Controls
	read := make(map[string]bool)
	for name, values := range h {
		if !isControl(name) {
			continue
		}
		field := controlField(name)
		take := c.reader(field)
		if take == nil || len(values) == 0 {
			continue
		}
		size := 0
		for _, value := range values {
			size += len(value)
		}
		// under both prefixes at once, nobody could say which one is the later
		if read[field] || size > maxControl || !take(values) {
			return Controls{}, &Refusal{CodeControl, canonical(field)}
		}
		read[field] = true
	}
	return c, nil
}

// controlField returns the name behind the prefix in lower case, or "".
func controlField(name string) string {
	name = strings.ToLower(name)
	for _, prefix := range prefixes {
		if field, ok := strings.CutPrefix(name, prefix); ok {
			return field
		}
	}
	return ""
}

// canonical is how a control header is named to clients.
func canonical(field string) string { return http.CanonicalHeaderKey(prefixes[1] + field) }

func (c *Controls) reader(field string) func(values []string) bool {
	switch field {
	case variableField:
		return c.readVariables
	case ignoreField:
		return c.readIgnored
	case overrideField:
		return c.readOverride
	case refreshField:
		return c.readRefresh
	}
	return nil
}

func (c *Controls) readVariables(values []string) bool {
	c.Variables = make(map[string]string)
	for _, value := range values {
		for pair := range strings.SplitSeq(trim(value), "&") {
			if pair == "" {
				continue
			}
			encodedName, encoded, ok := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(encodedName)
			if !ok || err != nil || name == "" {
				return false
			}
			text, err := url.QueryUnescape(encoded)
			if err != nil {
				return false
			}
			c.Variables[name] = text
			if len(c.Variables) > maxVariables {
				return false
			}
		}
	}
	return true
}

func (c *Controls) readIgnored(values []string) bool {
	var names []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = trim(name)
			if name == "" {
				continue
			}
			if names = append(names, name); len(names) > maxIgnored || !httpguts.ValidHeaderFieldName(name) {
				return false
			}
		}
	}
	c.ignored = header.NewSet(names...)
	return true
}

func (c *Controls) readOverride(values []string) bool {
	c.override = trim(values[0])
	return len(values) == 1 && c.override != ""
}

func (c *Controls) readRefresh(values []string) bool {
	switch strings.ToLower(trim(values[0])) {
	case "true", "1":
		c.ForceRefresh = true
	case "false", "0":
	default:
		return false
	}
	return len(values) == 1
}

// trim removes what may stand around a header's value (RFC 9110, section 5.6.3).
func trim(value string) string { return strings.Trim(value, " \t") }
