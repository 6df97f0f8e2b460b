package subscriptions

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// Resource is a type of resources. Its fields are for a later version, in which
// they can be listed: until then, nothing is asked for them.
type Resource struct {
	// Where the resources that a user may see are listed: an http or https URL
	// that answers a JSON array.
	From string `json:"from,omitempty"`

	// The member of each that is its id. Default: `id`.
	ID string `json:"id,omitempty"`

	// The member of each that is its label. Default: `value`.
	Value string `json:"value,omitempty"`
}

// reservedResource is the type of the events that the edge itself has to tell,
// and allResources the id that stands for all of its kind.
const (
	reservedResource = "subscription"
	allResources     = "*"
)

var resourceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func checkName(name string) error {
	if !resourceName.MatchString(name) {
		return fmt.Errorf("resource '%s': a name has 1 to 64 letters, digits, '_', '.' and '-'", name)
	}
	if name == reservedResource {
		return fmt.Errorf("resource '%s': this name is reserved", name)
	}
	return nil
}

func checkType(eventType string) error {
	if !eventtype.Valid(eventType) {
		return fmt.Errorf("'%s' is not a type of events such as task.create", eventType)
	}
	return nil
}

func checkFrom(from string) error {
	if !strings.HasPrefix(from, "https://") && !strings.HasPrefix(from, "http://") {
		return fmt.Errorf("from '%s' is not an http or https URL", from)
	}
	return nil
}

// checkPath refuses a path that no request target has.
func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || len(path) > 1 && strings.HasSuffix(path, "/") ||
		strings.ContainsAny(path, "{}?# ") || rawpath.Check(path) != nil {
		return fmt.Errorf("'%s' is not a path that begins with a slash and does not end with one", path)
	}
	return nil
}
