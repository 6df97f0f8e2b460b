package appcall

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/internal/directive"
)

// UnmarshalHeader reads a `header <name> <value>`, of which there may be more.
func UnmarshalHeader(d *caddyfile.Dispenser, headers *map[string]string) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[1] == "" {
		return d.ArgErr()
	}
	if err := CheckHeader(args[0]); err != nil {
		return d.WrapErr(err)
	}
	for name := range *headers {
		if strings.EqualFold(name, args[0]) {
			return d.Errf("duplicate header '%s'", args[0])
		}
	}
	if *headers == nil {
		*headers = make(map[string]string)
	}
	(*headers)[args[0]] = args[1]
	return directive.NoBlock(d, "header")
}
