package template

// Codes of refusals. They are part of the API: what they say stays the same.
const (
	CodeMissing = "connection_variable_missing"         // it has no value, and no default
	CodeInvalid = "connection_variable_invalid"         // its value is not one for its place
	CodeUnknown = "connection_variable_unknown"         // the template doesn't have it
	CodeFixed   = "connection_variable_not_overridable" // a request may not set it
)

// Refusal is why a template is not expanded. It names the variable, and has
// nothing of its value.
type Refusal struct {
	Code string
	// Variable has a bounded length. It may be any text: one that the template
	// doesn't have is the caller's own.
	Variable string
}

func refuse(code, variable string) *Refusal {
	return &Refusal{code, variable[:min(len(variable), maxName)]}
}

// Error implements error.
func (r *Refusal) Error() string { return r.Code }
