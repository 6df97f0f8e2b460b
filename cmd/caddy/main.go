// Command caddy is Caddy with its standard modules and this module.
package main

import (
	_ "time/tzdata"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	// plug in Caddy modules here
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/f737063d/caddy-connector"
)

func main() {
	caddycmd.Main()
}
