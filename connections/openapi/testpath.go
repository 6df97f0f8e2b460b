package openapi

import (
	"cmp"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// tellsWhoAsks are the last segments of operations that APIs have for it, the
// best first.
var tellsWhoAsks = []string{
	"me", "whoami", "self", "myself", "current_user", "current-user", "currentuser", "current", "userinfo", "verify_credentials",
	"user", "account", "profile", "viewer", "ping", "status",
}

const maxTestPath = 256

type candidate struct {
	path       string
	rank       int
	deprecated bool
}

// testPath returns the path of an operation that shows whether credentials are
// good, or "".
func (s *source) testPath() string {
	var candidates []candidate
	s.operations(func(path string, item *node, method string, operation *node) {
		if method == "get" && s.isTest(path, item, operation) {
			candidates = append(candidates, candidate{path, rank(path), operation.get("deprecated").isTrue()})
		}
	})
	if len(candidates) == 0 {
		s.add(Warning, "The document has no GET operation that needs nothing but credentials: write a test, or there is none.")
		return ""
	}
	best := slices.MinFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(weight(a), weight(b)), cmp.Compare(len(a.path), len(b.path)), cmp.Compare(a.path, b.path))
	})
	if best.rank == len(tellsWhoAsks) {
		s.add(Info, "Of the test, only that it needs nothing but credentials is known. Choose one that is cheap.", shown(best.path))
	}
	return best.path
}

func weight(c candidate) int {
	if c.deprecated {
		return c.rank + len(tellsWhoAsks) + 1
	}
	return c.rank
}

// rank is the place of a path's last segment among tellsWhoAsks.
func rank(path string) int {
	last := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	last, _, _ = strings.Cut(last, ".")
	if i := slices.Index(tellsWhoAsks, last); i >= 0 {
		return i
	}
	return len(tellsWhoAsks)
}

func (s *source) isTest(path string, item, operation *node) bool {
	if len(path) > maxTestPath || !isPlain(path) || strings.ContainsAny(path, "?#%") || strings.HasPrefix(path, "//") || rawpath.Check(path) != nil {
		return false
	}
	if operation.get("requestBody") != nil || item.get("servers") != nil || operation.get("servers") != nil {
		return false
	}
	if security := operation.get("security"); security.is(sequence) && isOptional(security) {
		return false // whoever asks gets an answer
	}
	return !slices.ContainsFunc(s.parameters(item, operation), func(p parameter) bool {
		return p.required && !(p.in == "header" && isDescribedElsewhere(p.name))
	})
}

func isOptional(security *node) bool {
	return len(security.items) == 0 || slices.ContainsFunc(security.items[:min(len(security.items), maxAlternatives)], func(n *node) bool { return len(n.all()) == 0 })
}
