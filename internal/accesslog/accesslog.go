// Package accesslog adds to what Caddy's access log says of a request.
package accesslog

import (
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Add has the access log of a request say what fields encodes when the request
// is over, if the server has an access log, or is not known (nil).
func Add(server *caddyhttp.Server, r *http.Request, fields zapcore.ObjectMarshaler) {
	if server != nil && server.Logs == nil {
		return
	}
	if logged, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		logged.Add(zap.Inline(fields))
	}
}
