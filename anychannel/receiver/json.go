package receiver

import (
	"encoding/json"
	"iter"
	"strings"
)

// What follows reads JSON that encoding/json found valid. It builds nothing: a
// body of some megabytes can hold a million values, of which few are asked for.

// kind returns the first byte of a JSON value, such as { or ".
func kind(text string) byte { return text[skipSpace(text, 0)] }

// children are the members of an object with their names, or the elements of an
// array with none, in their order, as the bytes of their values. Other values
// have none.
func children(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		i := skipSpace(text, 0)
		isObject := text[i] == '{'
		if !isObject && text[i] != '[' {
			return
		}
		i = skipSpace(text, i+1)
		for text[i] != '}' && text[i] != ']' {
			var name string
			if isObject {
				end := valueEnd(text, i)
				name = unquote(text[i:end])
				colon := skipSpace(text, end)
				i = skipSpace(text, colon+1)
			}
			end := valueEnd(text, i)
			if !yield(name, text[i:end]) {
				return
			}
			if i = skipSpace(text, end); text[i] == ',' {
				i = skipSpace(text, i+1)
			}
		}
	}
}

func skipSpace(text string, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// valueEnd returns where the value ends that begins at i, in an object or array.
func valueEnd(text string, i int) int {
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{', '[':
		return containerEnd(text, i)
	}
	return i + strings.IndexAny(text[i:], " \t\r\n,}]")
}

func containerEnd(text string, i int) int {
	for depth := 0; ; {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}

// stringEnd returns where the string ends whose first quote is at i.
func stringEnd(text string, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// unquote returns the text of a JSON string.
func unquote(quoted string) string {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	_ = json.Unmarshal([]byte(quoted), &text) // it is a string
	return text
}
