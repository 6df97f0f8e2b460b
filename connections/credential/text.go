package credential

import (
	"strings"
	"unicode/utf8"
)

// isVisible reports whether a text is of visible ASCII characters alone.
func isVisible(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return true
}

// isFieldValue reports whether a text arrives in a header as it is sent: visible
// ASCII, with spaces only inside.
func isFieldValue(text string) bool {
	return isVisible(strings.ReplaceAll(text, " ", "")) && strings.Trim(text, " ") == text
}

// isClean reports whether a text is UTF-8 without control characters.
func isClean(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 })
}
