// Package clientpath tells what a handler's paths are to the client, which may see
// them below another path than the handler does.
package clientpath

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// Of returns a request's escaped path, as the handler sees it, as the client wrote
// it.
func Of(r *http.Request, path string) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		written := rawpath.Of(original.URL)
		if strings.HasSuffix(written, path) && !strings.HasPrefix(written, "//") { // which would be another host
			return written
		}
	}
	return path
}
