package openapi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Severity is how much a message matters.
type Severity string

// Severities.
const (
	Info    Severity = "info"
	Warning Severity = "warning" // what is made of the document may not be what is meant
	Failure Severity = "error"   // something that the API needs is missing
)

// Message says what a document has that isn't used, or is used in another way
// than it may look. What it has of the document's own text is quoted and short.
type Message struct {
	Text     string   `json:"text"`
	Severity Severity `json:"severity"`
	Detail   []string `json:"detail,omitempty"`
}

// Error says why a document is none that can be used.
type Error struct {
	Line   int // from 1, or 0: it is the whole document
	Reason string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

const (
	maxMessages = 50
	maxDetails  = 10
	maxShown    = 80 // bytes
)

// messages are those of one document.
type messages struct{ list []Message }

func (m *messages) add(severity Severity, text string, detail ...string) {
	if len(detail) > maxDetails {
		more := len(detail) - maxDetails
		detail = append(detail[:maxDetails:maxDetails], fmt.Sprintf("and %d more", more))
	}
	same := func(other Message) bool { return other.Text == text && slices.Equal(other.Detail, detail) }
	switch {
	case slices.ContainsFunc(m.list, same):
	case len(m.list) < maxMessages:
		m.list = append(m.list, Message{text, severity, detail})
	case len(m.list) == maxMessages:
		m.list = append(m.list, Message{Text: "There are more messages, which are left out.", Severity: Warning})
	}
}

// addAt is add for a place in the document.
func (m *messages) addAt(at *node, severity Severity, text string, detail ...string) {
	if at != nil {
		text = fmt.Sprintf("line %d: %s", at.line, text)
	}
	m.add(severity, text, detail...)
}

// shown is text of a document for people to read: on one line, without control
// characters, and with an end.
func shown(text string) string {
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return strconv.Quote(text)
}

func shownAll(texts []string) []string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = shown(text)
	}
	return quoted
}

// Interface guard
var _ error = (*Error)(nil)
