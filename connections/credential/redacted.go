package credential

import "fmt"

const redaction = "REDACTED"

// hidden is what a secret type is made of: whatever prints, logs or encodes that
// gets REDACTED. The secret hangs on two pointers, because fmt doesn't ask the
// methods of an unexported field: of a struct with a secret in it, it prints an
// address. It would follow a single pointer where the verb doesn't fit.
type hidden[T any] struct{ value **T }

func hide[T any](value T) hidden[T] {
	pointer := &value
	return hidden[T]{&pointer}
}

// reveal returns what is hidden, or the zero value if nothing is.
func (h hidden[T]) reveal() (value T) {
	if h.value != nil {
		value = **h.value
	}
	return value
}

// IsZero reports whether there is nothing.
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

// Secret is a text that nothing prints.
type Secret struct{ hidden[string] }

// SecretOf returns a secret; an empty text is none.
func SecretOf(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{hide(text)}
}

// Reveal returns the text.
func (s Secret) Reveal() string { return s.reveal() }

// Interface guards
var (
	_ fmt.Formatter  = Secret{}
	_ fmt.Stringer   = Credential{}
	_ fmt.GoStringer = Credential{}
)
