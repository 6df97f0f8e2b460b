package routing

import (
	"maps"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          map[string]string
		ok            bool
	}{
		{"/a", "/a", nil, true},
		{"/a", "/a/", nil, false},
		{"/a", "/A", nil, false},
		{"/a", "/ab", nil, false},
		{"/a", "", nil, false},
		{"/a/{id}", "/a/1", map[string]string{"id": "1"}, true},
		{"/a/{id}", "/a/%2F", map[string]string{"id": "%2F"}, true},
		{"/a/{id}", "/a/", nil, false},
		{"/a/{id}", "/a", nil, false},
		{"/a/{id}", "/a/1/", nil, false},
		{"/a/{id}/b", "/a/1/b", map[string]string{"id": "1"}, true},
		{"/a/{id}/b/{other}", "/a/1/b/2", map[string]string{"id": "1", "other": "2"}, true},
		{"/a/{id}/b", "/a//b", nil, false},
		{"/a", "a", nil, false},
	} {
		if params, ok := Match(tc.pattern, tc.path); ok != tc.ok || ok && !maps.Equal(params, tc.want) {
			t.Errorf("%s for %s: %v, %v", tc.path, tc.pattern, params, ok)
		}
	}
}
