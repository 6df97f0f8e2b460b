// Package eventtype has the form of events' types, and of the patterns by which
// subscriptions choose among them.
package eventtype

import (
	"slices"
	"strings"
)

// maxType is the longest type of an event, in bytes.
const maxType = 128

// everything is the pattern that matches each type.
const everything = "*"

// Match reports whether a subscription's pattern matches an event's type. A
// pattern is a type, which matches itself, or begins with whole segments of one
// and goes on with a star: `task.*` matches `task.create` and
// `task.comment.create`, but not `task`. A star alone matches everything.
func Match(pattern, eventType string) bool {
	if pattern == everything {
		return true
	}
	if begin, ok := strings.CutSuffix(pattern, everything); ok {
		return strings.HasSuffix(begin, ".") && len(eventType) > len(begin) && strings.HasPrefix(eventType, begin)
	}
	return pattern == eventType
}

// MatchAny reports whether one of a subscription's patterns matches a type.
func MatchAny(patterns []string, eventType string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return Match(pattern, eventType) })
}

// Valid reports whether a text can be an event's type: segments of lower
// case letters, digits and underscores with dots between them.
func Valid(text string) bool {
	if len(text) > maxType {
		return false
	}
	for segment := range strings.SplitSeq(text, ".") {
		if segment == "" {
			return false
		}
		for i := range len(segment) {
			if c := segment[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
				return false
			}
		}
	}
	return true
}

// InCatalogue reports whether a pattern matches at least one type that there is.
func InCatalogue[T any](pattern string, catalogue map[string]T) bool {
	for eventType := range catalogue {
		if Match(pattern, eventType) {
			return true
		}
	}
	return false
}
