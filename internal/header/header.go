// Package header recognises protected header fields however they are spelled.
package header

import (
	"net/http"
	"slices"
)

// Set is a set of field names that one side of the edge vouches for or
// withholds. A name belongs to it in every spelling that some server folds onto
// the same variable: any case, and `_`, `.` or a space in the place of `-`
// (CGI, WSGI and PHP do that; GHSA-f59h-q822-g45g, GHSA-49wc-4hcv-v58q).
type Set struct {
	folded  []string
	lengths uint64 // of the names, modulo 64: most names are none of the set's by their length
}

// NewSet returns the set of the given names.
func NewSet(names ...string) Set {
	var set Set
	for _, name := range names {
		folded := make([]byte, len(name))
		for i := range len(name) {
			folded[i] = fold(name[i])
		}
		set.folded = append(set.folded, string(folded))
		set.lengths |= 1 << (len(name) % 64)
	}
	return set
}

// Union returns the set of the names of both.
func (s Set) Union(other Set) Set {
	return Set{append(slices.Clip(s.folded), other.folded...), s.lengths | other.lengths}
}

// Has reports whether name is some spelling of a name of the set.
func (s Set) Has(name string) bool {
	if s.lengths&(1<<(len(name)%64)) == 0 {
		return false
	}
	for _, folded := range s.folded {
		if len(folded) == len(name) && equal(folded, name) {
			return true
		}
	}
	return false
}

// Strip deletes every spelling of the set's names from h. It walks the map
// instead of calling Del, which would miss keys that are not canonical.
func (s Set) Strip(h http.Header) {
	for name := range h {
		if s.Has(name) {
			delete(h, name)
		}
	}
}

// StripTrailers deletes the set's names from what a handler has left in its
// response header for net/http to send as trailers.
func (s Set) StripTrailers(h http.Header) {
	for name := range h {
		if len(name) > len(http.TrailerPrefix) && name[:len(http.TrailerPrefix)] == http.TrailerPrefix {
			if s.Has(name[len(http.TrailerPrefix):]) {
				delete(h, name)
			}
			continue
		}
		if s.Has(name) {
			delete(h, name)
		}
	}
}

func equal(folded, name string) bool {
	for i := range len(name) {
		if fold(name[i]) != folded[i] {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + ('a' - 'A')
	case c == '_' || c == '.' || c == ' ':
		return '-'
	}
	return c
}
