package subscriptions

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// Bounds of the header fields that a subscriber adds.
const (
	maxHeaders     = 16
	maxHeaderName  = 64
	maxHeaderValue = 1024
)

// ownFields are those that a subscriber cannot add: they are for one connection
// only, or it is the edge that has them say something. Names that end with a
// hyphen stand for all that begin so.
var ownFields = []string{
	"host", "content-", "user-agent", "accept-encoding", "expect", "date", "via", "forwarded", "x-forwarded-",
	"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "proxy-",
	"traceparent", "tracestate", "webhook-", signature.HubField, signature.HookField, hookSecretField,
}

// isOwnField reports whether a name, or one that some server takes for the same,
// is among those.
func isOwnField(name string) bool {
	folded := foldField(name)
	return slices.ContainsFunc(ownFields, func(own string) bool {
		own = strings.ToLower(own)
		return folded == own || strings.HasSuffix(own, "-") && strings.HasPrefix(folded, own)
	})
}

// foldField makes one spelling of all that some server takes for a name.
func foldField(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// parseHeaders reads the header fields of deliveries. The names are returned in
// lower case.
func (h *Handler) parseHeaders(given json.RawMessage) (map[string]string, error) {
	if given == nil {
		return nil, nil
	}
	o, ok := parseObject(given)
	if !ok || len(o) > maxHeaders {
		return nil, errHeaders
	}
	fields := make(map[string]string, len(o))
	seen := make(map[string]bool, len(o))
	for name, encoded := range o {
		value, ok := text(encoded)
		folded := foldField(name)
		switch {
		case !ok || !validHeader(name, value) || seen[folded]:
			return nil, errHeaders
		case isOwnField(name) || h.signs(folded):
			return nil, errOwnHeader
		}
		seen[folded] = true
		fields[strings.ToLower(name)] = value
	}
	return fields, nil
}

// validHeader reports whether a field can be sent as it is.
func validHeader(name, value string) bool {
	if len(name) > maxHeaderName || !httpguts.ValidHeaderFieldName(name) {
		return false
	}
	if value == "" || len(value) > maxHeaderValue || strings.TrimSpace(value) != value {
		return false
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] >= 0x7f {
			return false
		}
	}
	return true
}

// signs reports whether signatures stand in this field.
func (h *Handler) signs(folded string) bool {
	return h.Signature != nil && slices.ContainsFunc(h.Signature.Headers, func(name string) bool { return foldField(name) == folded })
}

// header returns the header fields that a subscriber has added.
func (c *confidential) header() http.Header {
	header := make(http.Header, len(c.Headers)+4)
	for name, value := range c.Headers {
		header.Set(name, value)
	}
	return header
}

// namesOf returns the names of header fields, sorted.
func namesOf(headers map[string]string) []string { return slices.Sorted(maps.Keys(headers)) }
