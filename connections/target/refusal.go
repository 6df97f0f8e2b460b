package target

// Codes of refusals. They are part of the API: what they say stays the same.
const (
	CodeControl    = "control_header_invalid"
	CodePath       = "invalid_path"                  // or query
	CodeOverride   = "base_url_override_invalid"     // it is no URL that a base URL could be
	CodeNotAllowed = "base_url_override_not_allowed" // its host is not one that the API allows
)

// Refusal is why a request has no target. It has nothing of the request.
type Refusal struct {
	Code   string
	Header string // that is wrong, under our prefix, or ""
}

// Error implements error.
func (r *Refusal) Error() string { return r.Code }

// Interface guard
var _ error = (*Refusal)(nil)
