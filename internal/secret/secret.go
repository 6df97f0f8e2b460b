// Package secret resolves configured secrets and keeps them from being printed.
package secret

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2"
)

const redacted = "REDACTED"

// Value is a secret in memory. Whatever prints, logs or encodes it gets
// REDACTED; only Reveal returns it. The text hangs on a pointer because fmt
// doesn't ask the methods of an unexported field: of a struct with a Value in
// it, it prints an address.
type Value struct{ plain *string }

var (
	// a JSON object in braces is a secret, not a placeholder
	wholePlaceholder = regexp.MustCompile(`^\{(?:(?:env|file)\.[^{}]+|[a-z_]+(?:\.[A-Za-z0-9_/-]+)+)\}$`)
	outsideSource    = regexp.MustCompile(`\{(?:env|file)\.[^{}]+\}`)
)

// Resolve returns the secret that a config value stands for. The value is a
// placeholder such as {env.NAME} or {file./run/secrets/name}, a text with such
// placeholders in it, or the secret itself. A placeholder that is unknown or
// resolves to nothing is an error, and so is an empty secret. Errors name the
// placeholder, never the secret.
func Resolve(repl *caddy.Replacer, configured string) (Value, error) {
	if wholePlaceholder.MatchString(configured) {
		plain, err := repl.ReplaceOrErr(configured, true, true)
		if err != nil {
			return Value{}, err
		}
		return Value{&plain}, nil
	}
	for _, placeholder := range outsideSource.FindAllString(configured, -1) {
		if _, err := repl.ReplaceOrErr(placeholder, true, true); err != nil {
			return Value{}, err
		}
	}
	// a brace in a literal secret is not a placeholder: it stays
	plain := repl.ReplaceKnown(configured, "")
	if plain == "" {
		return Value{}, errors.New("empty secret")
	}
	return Value{&plain}, nil
}

// Of returns a secret that is not of the config, as it is.
func Of(plain string) Value { return Value{&plain} }

// IsLiteral reports whether a config value holds the secret itself, so that it
// can be read in the admin API's /config/ and in the adapted JSON.
func IsLiteral(configured string) bool {
	return configured != "" && !wholePlaceholder.MatchString(configured) && !outsideSource.MatchString(configured)
}

// Reveal returns the secret; it is empty where none was resolved.
func (v Value) Reveal() string {
	if v.plain == nil {
		return ""
	}
	return *v.plain
}

// Map returns the secret that f makes of this one, which must not be zero.
func (v Value) Map(f func(plain string) string) Value {
	made := f(v.Reveal())
	return Value{&made}
}

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return v.plain == nil }

// Fingerprint is the first eight hex digits of the SHA-256 of a presented
// secret: enough to tell which key somebody used, not enough to use it.
func Fingerprint(presented string) string {
	sum := sha256.Sum256([]byte(presented))
	return hex.EncodeToString(sum[:4])
}

// Format implements fmt.Formatter, so that no verb prints the secret.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (Value) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Value) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler, which encoding/json, log/slog
// and zap use too.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Interface guards
var (
	_ fmt.Formatter  = Value{}
	_ fmt.Stringer   = Value{}
	_ fmt.GoStringer = Value{}
)
