package openapi

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// token writes a text as one token of a Caddyfile, whose text it is. It reports
// false where there is none, or where a part of it would be replaced: what stands
// in braces is an environment variable, an argument or a placeholder.
func token(text string) (string, bool) {
	switch {
	case text == "" || strings.ContainsAny(text, "{}") || !utf8.ValidString(text) || strings.ContainsFunc(text, isUnprintable):
		return "", false
	case isPlain(text):
		return text, true
	case !strings.Contains(text, "`"):
		return "`" + text + "`", true
	case !strings.Contains(text, `\`): // which escapes nothing but quotes
		return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`, true
	}
	return "", false
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// isPlain reports whether a text is of visible ASCII characters that have no
// meaning in a Caddyfile, or to caddy fmt, which sees heredocs in many places.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"`\\{}#<", c) >= 0 {
			return false
		}
	}
	return true
}
