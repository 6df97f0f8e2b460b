package signature

import "fmt"

const redaction = "REDACTED"

// hidden is what a secret type is made of: whatever prints, logs or encodes that
// gets REDACTED. The secret hangs on two pointers, because fmt doesn't ask the
// methods of an unexported field: of a struct with a secret in it, it prints an
// address. It would follow a single pointer where the verb doesn't fit.
type hidden[T any] struct{ value **T }

func hide[T any](value *T) hidden[T] { return hidden[T]{&value} }

// reveal returns what is hidden, or nil if nothing is.
func (h hidden[T]) reveal() *T {
	if h.value == nil {
		return nil
	}
	return *h.value
}

// IsZero reports whether there is no secret.
func (h hidden[T]) IsZero() bool { return h.value == nil }

// Format implements fmt.Formatter, so that no verb prints the secret.
func (hidden[T]) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redaction)) }

// String implements fmt.Stringer.
func (hidden[T]) String() string { return redaction }

// GoString implements fmt.GoStringer.
func (hidden[T]) GoString() string { return redaction }

// MarshalText implements encoding.TextMarshaler, which encoding/json, log/slog
// and zap use too.
func (hidden[T]) MarshalText() ([]byte, error) { return []byte(redaction), nil }

// Interface guards
var (
	_ fmt.Formatter  = Secret{}
	_ fmt.Stringer   = Secret{}
	_ fmt.GoStringer = Secret{}
	_ fmt.Formatter  = HubSecret{}
)
