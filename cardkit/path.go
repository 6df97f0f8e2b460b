package cardkit

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// PathPrefix is what the url of every post begins with; a slash and the
// integration's service id follow.
const PathPrefix = "/connector"

var serviceIDRegex = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkConnectorPath refuses any url of a post that might reach something
// else than the integration that it names, and returns that integration's
// service id. The query is the integration's own affair; only what could
// not be sent is refused there.
func checkConnectorPath(s string) (string, error) {
	if err := checkText(s); err != nil {
		return "", err
	}
	if strings.Contains(s, "#") {
		return "", fmt.Errorf("%w: it must not have a fragment", ErrInvalid)
	}

	path, _, _ := strings.Cut(s, "?")
	rest, ok := strings.CutPrefix(path, PathPrefix+"/")
	id, tail, _ := strings.Cut(rest, "/")
	if !ok || !serviceIDRegex.MatchString(id) {
		return "", fmt.Errorf("%w: it must be a path that begins with %s/<service_id>", ErrInvalid, PathPrefix)
	}
	// appended to a proxy URL, this could be read as a host
	if strings.HasPrefix(tail, "/") {
		return "", fmt.Errorf("%w: it must not have an empty segment after the service id", ErrInvalid)
	}
	if _, err := url.PathUnescape(path); err != nil {
		return "", fmt.Errorf("%w: bad percent-encoding in the path", ErrInvalid)
	}
	if err := rawpath.Check(path); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return id, nil
}
