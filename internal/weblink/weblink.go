// Package weblink reads Link header fields (RFC 8288).
package weblink

import "strings"

// Next returns the target of the first link to a next page, as it is written:
// it may be relative to the page's own URL. What stands behind a mistake in a
// field is not read.
func Next(fields []string) (target string, found bool) {
	for _, field := range fields {
		for {
			var l link
			var ok bool
			if l, field, ok = parse(field); !ok {
				break
			}
			if l.isNext() {
				return l.target, true
			}
		}
	}
	return "", false
}

// link is one link of a field.
type link struct {
	target   string
	rel      string
	hasRel   bool
	anchored bool // it leads from another page than the one that says so
}

// isNext reports whether the link leads from this page to the next.
func (l link) isNext() bool {
	if l.anchored {
		return false
	}
	for relation := range strings.FieldsSeq(l.rel) {
		if strings.EqualFold(relation, "next") {
			return true
		}
	}
	return false
}

// parse reads the first link of a field's value and returns what is behind it.
func parse(value string) (l link, rest string, ok bool) {
	value = strings.TrimLeft(value, " \t,")
	if value == "" || value[0] != '<' {
		return link{}, "", false
	}
	if l.target, rest, ok = strings.Cut(value[1:], ">"); !ok {
		return link{}, "", false
	}
	for {
		rest = skipSpace(rest)
		if rest == "" || rest[0] == ',' {
			return l, rest, true
		}
		if rest[0] != ';' {
			return link{}, "", false
		}
		var name, text string
		if name, text, rest, ok = parameter(skipSpace(rest[1:])); !ok {
			return link{}, "", false
		}
		l.set(name, text)
	}
}

// set takes a parameter. Of several relations the first one counts.
func (l *link) set(name, value string) {
	switch strings.ToLower(name) {
	case "rel":
		if !l.hasRel {
			l.rel, l.hasRel = value, true
		}
	case "anchor":
		l.anchored = true
	}
}

// parameter reads a name and its value, if it has one. Both may be empty.
func parameter(s string) (name, value, rest string, ok bool) {
	name, rest = cutAny(s, " \t=;,")
	rest = skipSpace(rest)
	if rest == "" || rest[0] != '=' {
		return name, "", rest, true
	}
	rest = skipSpace(rest[1:])
	if rest != "" && rest[0] == '"' {
		value, rest, ok = quoted(rest[1:])
		return name, value, rest, ok
	}
	value, rest = cutAny(rest, " \t;,")
	return name, value, rest, true
}

// quoted reads a quoted string behind its first quote.
func quoted(s string) (value, rest string, ok bool) {
	var unescaped strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return unescaped.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		unescaped.WriteByte(s[i])
	}
	return "", "", false
}

// cutAny splits s before the first of these characters.
func cutAny(s, chars string) (before, rest string) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t") }
