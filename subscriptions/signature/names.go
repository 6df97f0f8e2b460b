package signature

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/f737063d/caddy-connector/internal/header"
)

// Names are the names of the three header fields. The zero value stands for
// those of the specification: webhook-id, webhook-timestamp, webhook-signature.
type Names struct{ id, timestamp, signature field }

// field is a header field, and all spellings that some server takes for it.
type field struct {
	name      string
	spellings header.Set
}

const maxPrefix = 64 // bytes

var standard = newNames("webhook")

// NewNames returns the names with another prefix than webhook: svix stands for
// svix-id, svix-timestamp and svix-signature.
func NewNames(prefix string) (Names, error) {
	if err := CheckPrefix(prefix); err != nil {
		return Names{}, err
	}
	return newNames(prefix), nil
}

// NamesOf returns the names with one for each of the fields.
func NamesOf(id, timestamp, signature string) (Names, error) {
	all := [3]string{id, timestamp, signature}
	for i, name := range all {
		if err := checkName(name, "header name"); err != nil {
			return Names{}, err
		}
		for _, other := range all[:i] {
			if strings.EqualFold(name, other) {
				return Names{}, fmt.Errorf("header name %q stands for two fields", name)
			}
		}
	}
	return Names{newField(id), newField(timestamp), newField(signature)}, nil
}

// CheckPrefix reports why NewNames does not take a prefix.
func CheckPrefix(prefix string) error { return checkName(prefix, "header prefix") }

func checkName(name, what string) error {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case name == "" || len(name) > maxPrefix:
		return fmt.Errorf("a %s has 1 to %d characters", what, maxPrefix)
	case strings.Trim(name, alphanumeric+"-") != "":
		return fmt.Errorf("%s %q: only letters, digits and hyphens are allowed", what, name)
	case name[0] == '-' || name[len(name)-1] == '-':
		return fmt.Errorf("%s %q: it must begin and end with a letter or digit", what, name)
	}
	return nil
}

func newNames(prefix string) Names {
	return Names{newField(prefix + "-id"), newField(prefix + "-timestamp"), newField(prefix + "-signature")}
}

func newField(name string) field {
	return field{http.CanonicalHeaderKey(name), header.NewSet(name)}
}

// fields returns the fields in the order of id, timestamp, signature.
func (n *Names) fields() [3]*field { return [3]*field{&n.id, &n.timestamp, &n.signature} }

func (n Names) orDefault() Names {
	if n.id.name == "" {
		return standard
	}
	return n
}

// find returns the one value of the field. Two, or one in another spelling
// besides, are an error: who reads them later might see another one.
func (f *field) find(h http.Header) (string, error) {
	value, count := "", 0
	for name, values := range h {
		if !f.spellings.Has(name) {
			continue // by its length, mostly
		}
		count += len(values)
		if len(values) > 0 && strings.EqualFold(name, f.name) {
			value = values[0]
		}
	}
	switch {
	case count > 1:
		return "", f.malformed()
	case value == "":
		return "", fmt.Errorf("%w: %s", ErrMissing, f.name)
	}
	return value, nil
}

func (f *field) malformed() error { return fmt.Errorf("%w: %s", ErrMalformed, f.name) }
