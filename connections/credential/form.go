package credential

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/f737063d/caddy-connector/internal/strictjson"
)

// maxForm is the size of a stored form, in bytes: a certificate's chain is the
// longest that is in one.
const maxForm = 64 << 10

// FieldError says what is wrong with the JSON form of a credential, and holds
// nothing of it.
type FieldError struct {
	Field  string // that is wrong, of those that the scheme has, or ""
	Reason string
}

// Error implements error.
func (e *FieldError) Error() string {
	if e.Field == "" {
		return "the credential " + e.Reason
	}
	return "the credential's " + e.Field + " " + e.Reason
}

// Read makes the credential for a scheme, by its index, of its JSON form: that in
// which clients send it, and in which it is stored once it is sealed. All members
// but those that the scheme has are an error, which is a *FieldError.
func (a *Auth) Read(scheme int, encoded []byte) (Credential, error) {
	if scheme < 0 || scheme >= len(a.schemes) {
		return Credential{}, &FieldError{Reason: "is for no scheme of the API"}
	}
	if len(encoded) > maxForm {
		return Credential{}, &FieldError{Reason: "is too long"}
	}
	object, err := strictjson.Object(encoded)
	if err != nil {
		return Credential{}, &FieldError{Reason: "is not a JSON object with each member once"}
	}
	m := &members{left: object}
	s := a.schemes[scheme]
	if m.text("type", maxName) != s.Type() {
		m.fail("type", "must be "+s.Type())
	}
	applier := s.read(m)
	if err := m.end(); err != nil {
		return Credential{}, err
	}
	return credentialOf(s.Type(), applier), nil
}

// Encode returns the JSON form of a credential, with its secret in it: it is for
// sealing, and nothing else.
func (c Credential) Encode() ([]byte, error) {
	k := c.reveal()
	if k.applier == nil {
		return nil, errors.New("there is no credential")
	}
	return json.Marshal(k.form())
}

// members are what is in the form of a credential. They are taken out one by one;
// the first thing that is wrong is kept.
type members struct {
	left map[string]json.RawMessage
	err  *FieldError
}

func (m *members) fail(field, reason string) {
	if m.err == nil {
		m.err = &FieldError{field, reason}
	}
}

func (m *members) take(name string) (encoded json.RawMessage, ok bool) {
	encoded, ok = m.left[name]
	delete(m.left, name)
	return encoded, ok
}

// text takes a text that must be there.
func (m *members) text(name string, limit int) string {
	if _, ok := m.left[name]; !ok {
		m.fail(name, "is missing")
		return ""
	}
	text := m.textOrNone(name, limit)
	if text == "" {
		m.fail(name, "is empty")
	}
	return text
}

// textOrNone takes a text that may be empty or missing.
func (m *members) textOrNone(name string, limit int) string {
	encoded, ok := m.take(name)
	if !ok {
		return ""
	}
	text, ok := strictjson.Text(encoded)
	switch {
	case !ok:
		m.fail(name, "is not a text")
	case len(text) > limit:
		m.fail(name, "is too long")
	}
	return text
}

// second takes a Unix time in seconds, or the zero time where there is none.
func (m *members) second(name string) time.Time {
	encoded, ok := m.take(name)
	if !ok {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(string(encoded), 10, 64)
	if err != nil || seconds <= 0 || seconds > math.MaxInt32*64 {
		m.fail(name, "is not a Unix time in seconds")
	}
	return time.Unix(seconds, 0)
}

func (m *members) end() error {
	if len(m.left) > 0 {
		m.fail("", "has a member that its type does not have")
	}
	if m.err != nil {
		return m.err
	}
	return nil
}

// Interface guard
var _ error = (*FieldError)(nil)
