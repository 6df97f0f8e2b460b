package subscriptions

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/internal/appcall"
	"github.com/f737063d/caddy-connector/internal/directive"
)

// unmarshal reads a subdirective of `resource`.
func (res *Resource) unmarshal(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "public":
		return true, directive.Flag(d, &res.Public)
	case "from":
		return true, directive.Word(d, &res.From, checkFrom)
	case "id":
		return true, directive.Word(d, &res.ID, nil)
	case "value":
		return true, directive.Word(d, &res.Value, nil)
	case "user_header":
		return true, directive.Word(d, &res.UserHeader, appcall.CheckUserHeader)
	case "header":
		return true, appcall.UnmarshalHeader(d, &res.Headers)
	case "forward_credentials":
		return true, directive.Flag(d, &res.ForwardCredentials)
	case "transport":
		if res.TransportRaw != nil {
			return true, directive.Duplicate(d)
		}
		res.TransportRaw, err = directive.HTTPTransport(d)
		return true, err
	}
	return false, nil
}

// checkFrom refuses what is no URL, unless it begins with a placeholder that says
// so when the config is loaded.
func checkFrom(from string) error {
	for _, prefix := range []string{"https://", "http://", "{env.", "{file."} {
		if strings.HasPrefix(from, prefix) {
			return nil
		}
	}
	return fmt.Errorf("from '%s' is not an http or https URL", from)
}
