package template

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName      = 64
	maxPattern   = 1024
	maxMaxLength = 1024

	// DefaultMaxLength is how long a value is at most, in bytes, where nobody says
	// otherwise.
	DefaultMaxLength = 255
)

// Variable is what the config says of a variable. The zero value is a good one.
type Variable struct {
	// Default is the value where neither the request nor the connection has one.
	// Empty: there is none.
	Default string

	// Pattern is a regular expression that a value must match as a whole. Empty:
	// in the host, one DNS label; elsewhere, what can stand there.
	Pattern string

	// MaxLength is in bytes, at most 1024; 0 is DefaultMaxLength.
	MaxLength int

	// Overridable is whether a request may set it.
	Overridable bool
}

// place is a part of a URL.
type place int

const (
	inHost place = iota
	inPath
	inQuery
)

type variable struct {
	name        string
	fallback    string // or ""
	pattern     *regexp.Regexp
	maxLength   int
	overridable bool
	standsIn    [inQuery + 1]bool
}

func newVariable(name string, config Variable) (*variable, error) {
	v := &variable{name: name, fallback: config.Default, maxLength: config.MaxLength, overridable: config.Overridable}
	switch {
	case v.maxLength == 0:
		v.maxLength = DefaultMaxLength
	case v.maxLength < 0 || v.maxLength > maxMaxLength:
		return nil, fmt.Errorf("its length is limited to %d, not from 1 to %d", v.maxLength, maxMaxLength)
	}
	if config.Pattern == "" {
		return v, nil
	}
	if len(config.Pattern) > maxPattern {
		return nil, fmt.Errorf("its pattern is longer than %d bytes", maxPattern)
	}
	// alone first: one with a surplus parenthesis could leave the group
	if _, err := regexp.Compile(config.Pattern); err != nil {
		return nil, fmt.Errorf("its pattern: %w", err)
	}
	var err error
	if v.pattern, err = regexp.Compile(`\A(?:` + config.Pattern + `)\z`); err != nil {
		return nil, errors.New("its pattern is too large")
	}
	return v, nil
}

// takes reports whether a value can stand wherever the variable does. What its
// text makes of the host and path around it is yet to be checked.
func (v *variable) takes(value string) bool {
	if value == "" || len(value) > v.maxLength || v.pattern != nil && !v.pattern.MatchString(value) {
		return false
	}
	if v.standsIn[inHost] && !(v.pattern == nil && isLabel(value) || v.pattern != nil && isHostText(value)) {
		return false
	}
	if v.standsIn[inPath] && !isPathText(value) {
		return false
	}
	return !v.standsIn[inQuery] || isText(value)
}

// isText reports whether a text has nothing but what can be read in one way
// where it stands percent-encoded: visible ASCII and spaces, and the letters,
// marks and digits beyond. The signs beyond ASCII are left out because some
// servers make dots, slashes and percent signs of them.
func isText(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r > 0x7f && !unicode.In(r, unicode.L, unicode.M, unicode.Nd) {
			return false
		}
	}
	return true
}

// isPathText leaves out what servers that decode a path twice, or before they
// split it, would take for more than a part of one segment.
func isPathText(text string) bool { return isText(text) && !strings.ContainsAny(text, `/\%`) }
