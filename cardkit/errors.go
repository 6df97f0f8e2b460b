package cardkit

import (
	"errors"
	"fmt"
)

var (
	// ErrTooLarge means that the action is longer than [MaxSize].
	ErrTooLarge = errors.New("client action is longer than 64 KiB")

	// ErrUnknownAction means that the action is none of the three.
	ErrUnknownAction = errors.New("not a client action: it must be blink:webview?, blink:link? or blink:post?")
)

// These are what a [*ParamError] wraps.
var (
	// ErrMissing means that a required parameter is absent or empty.
	ErrMissing = errors.New("required")

	// ErrDuplicate means that a parameter is given more than once.
	ErrDuplicate = errors.New("given more than once")

	// ErrUnknownParam means that the action has no such parameter.
	ErrUnknownParam = errors.New("not a parameter of this action")

	// ErrEncoding means that a value is not percent-encoded or not base64.
	ErrEncoding = errors.New("cannot be decoded")

	// ErrInvalid means that a value could be read, but is not allowed.
	ErrInvalid = errors.New("not allowed")
)

// ParamError is what is wrong with one parameter of an action. It never
// carries the parameter's value.
type ParamError struct {
	// The parameter's name: url, body, action, id, or the first 32 bytes
	// of a name that the action does not have.
	Param string

	// One of the errors above, or an error that wraps one.
	Err error
}

// Error returns the parameter's name and what is wrong with it.
func (e *ParamError) Error() string {
	return fmt.Sprintf("parameter %q: %v", e.Param, e.Err)
}

// Unwrap returns the error that says what is wrong.
func (e *ParamError) Unwrap() error { return e.Err }

// paramError returns a ParamError whose size does not depend on the input.
func paramError(name string, err error) error {
	const longest = 32
	return &ParamError{Param: name[:min(len(name), longest)], Err: err}
}
