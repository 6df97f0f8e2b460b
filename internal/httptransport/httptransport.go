// Package httptransport loads Caddy's `http` reverse proxy transport for
// modules that have one.
package httptransport

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/f737063d/caddy-connector/internal/stdlog"
)

// Load loads the module in the field TransportRaw of host, a pointer to a
// struct; raw points to that field, which gets the default where it is empty.
func Load(ctx caddy.Context, host any, raw *json.RawMessage) (*reverseproxy.HTTPTransport, error) {
	stdlog.Guard()
	if *raw == nil {
		*raw = json.RawMessage(`{"protocol":"http"}`)
	}
	mod, err := ctx.LoadModule(host, "TransportRaw")
	if err != nil {
		return nil, fmt.Errorf("loading transport: %w", err)
	}
	transport, ok := mod.(*reverseproxy.HTTPTransport)
	if !ok {
		return nil, errors.New("loading transport: it must be 'http'")
	}
	return transport, nil
}
