package openapi

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// pattern is a path of a document: its segments, each of which is text with
// variables in it.
type pattern [][]string // of a segment: text, and between two texts a variable

// newPattern reads a path such as /users/{id}.json. It reports false where
// braces don't pair.
func newPattern(path string) (pattern, bool) {
	var p pattern
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		var texts []string
		for {
			text, rest, open := strings.Cut(segment, "{")
			if strings.Contains(text, "}") {
				return nil, false
			}
			texts = append(texts, decoded(text))
			if !open {
				break
			}
			_, after, closed := strings.Cut(rest, "}")
			if !closed {
				return nil, false
			}
			segment = after
		}
		p = append(p, texts)
	}
	return p, true
}

func decoded(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// segments splits an escaped path, and decodes what is between the slashes.
func segments(path string) []string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		parts[i] = decoded(part)
	}
	return parts
}

func (p pattern) matches(segments []string) bool {
	return slices.EqualFunc(p, segments, matchesSegment)
}

// matchesSegment reports whether a segment has all the texts in order, with one
// character or more for each variable between them.
func matchesSegment(texts []string, segment string) bool {
	first, last := texts[0], texts[len(texts)-1]
	if len(texts) == 1 {
		return segment == first
	}
	rest, ok := strings.CutPrefix(segment, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, text := range texts[1 : len(texts)-1] {
		if rest == "" {
			return false
		}
		i := strings.Index(rest[1:], text)
		if i < 0 {
			return false
		}
		rest = rest[1+i+len(text):]
	}
	return rest != ""
}

// comparePatterns orders patterns by which is asked first: the one that has text
// where the other has a variable, from the left.
func comparePatterns(a, b pattern) int {
	return slices.CompareFunc(a, b, func(x, y []string) int {
		return cmp.Or(cmp.Compare(min(len(x), 2), min(len(y), 2)), // text alone
			cmp.Compare(length(y), length(x))) // or more of it
	})
}

func length(texts []string) int {
	total := 0
	for _, text := range texts {
		total += len(text)
	}
	return total
}
