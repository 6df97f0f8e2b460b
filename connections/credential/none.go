package credential

import "net/http"

// None is for an API that takes no credential.
type None struct{}

// Type implements Scheme.
func (None) Type() string { return "none" }

func (None) check() error          { return nil }
func (None) claims() []claim       { return nil }
func (None) read(*members) applier { return noCredential{} }

type noCredential struct{}

func (noCredential) apply(*http.Request, Attempt) error { return nil }

func (noCredential) form() any {
	return struct {
		Type string `json:"type"`
	}{None{}.Type()}
}

// Interface guard
var _ Scheme = None{}
