// Package routing compares request paths with patterns.
package routing

import "strings"

// Match reports whether an escaped path is one that the pattern stands for, and
// returns the segments that have a name there. In a pattern such as
// `/subscriptions/{id}`, a segment in braces stands for any one that is not
// empty; the others are compared byte for byte.
func Match(pattern, path string) (params map[string]string, ok bool) {
	for pattern != "" {
		var want, have string
		want, pattern = segment(pattern)
		if have, path = segment(path); have == "" {
			return nil, false
		}
		if name, isParam := strings.CutPrefix(want, "/{"); isParam {
			if have == "/" {
				return nil, false
			}
			if params == nil {
				params = make(map[string]string, 2)
			}
			params[strings.TrimSuffix(name, "}")] = have[1:]
		} else if have != want {
			return nil, false
		}
	}
	return params, path == ""
}

// segment splits a path behind its first segment, which keeps its slash.
func segment(path string) (first, rest string) {
	if path == "" || path[0] != '/' {
		return "", path
	}
	if end := strings.IndexByte(path[1:], '/'); end >= 0 {
		return path[:end+1], path[end+1:]
	}
	return path, ""
}
