// Package leaktest looks for secrets where they must not be.
package leaktest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// minForm is the shortest form that is looked for: shorter ones are there by
// chance.
const minForm = 8

// Scanner knows secrets, and the forms in which they leak. Its zero value knows
// none.
type Scanner struct {
	needles map[string][]needle // by what they begin with, of minForm bytes
	names   []string
}

// needle is a form of a secret.
type needle struct{ text, secret, form string }

// Leak is a secret that was found.
type Leak struct {
	Secret string // its name
	Form   string
	Around string // of where it is
}

// Add has a secret looked for from now on. Its name says which it is in tests'
// output.
func (s *Scanner) Add(name, secret string) {
	if len(secret) < minForm {
		panic("leaktest: " + name + " is too short to be found")
	}
	if s.needles == nil {
		s.needles = make(map[string][]needle)
	}
	for text, form := range formsOf(secret) {
		if len(text) >= minForm {
			s.needles[text[:minForm]] = append(s.needles[text[:minForm]], needle{text, name, form})
		}
	}
	s.names = append(s.names, name)
}

// Find returns the secrets in a text, each once.
func (s *Scanner) Find(text string) (found []Leak) {
	seen := make(map[string]bool)
	for i := 0; i+minForm <= len(text); i++ {
		for _, n := range s.needles[text[i:i+minForm]] {
			if !seen[n.secret] && strings.HasPrefix(text[i:], n.text) {
				seen[n.secret] = true
				found = append(found, Leak{n.secret, n.form, text[max(0, i-200):min(len(text), i+len(n.text)+100)]})
			}
		}
	}
	return found
}

// Check fails the test for each secret that is in a text. One that is there on
// purpose is given as it is written there: it may be there so.
func (s *Scanner) Check(t testing.TB, place, text string, allowed ...string) {
	t.Helper()
	for _, written := range allowed {
		text = strings.ReplaceAll(text, written, "")
	}
	for _, leak := range s.Find(text) {
		t.Errorf("%s has %s, %s: …%s…", place, leak.Secret, leak.Form, leak.Around)
	}
}

// Names are those of the secrets, in the order in which they came.
func (s *Scanner) Names() []string { return slices.Clone(s.names) }

// formsOf returns all forms of a secret, with what they are called: as a text, and
// each text in base64 and hexadecimal, too.
func formsOf(secret string) map[string]string {
	forms := make(map[string]string)
	texts := textsOf(secret)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		forms[text] = name
		for spelled, as := range bytesOf(text) {
			if forms[spelled] == "" {
				forms[spelled] = as + " of it " + name
			}
		}
	}
	if n := len(secret); n >= 4*minForm { // what is cut off is enough to know it by
		forms[secret[:n/2]], forms[secret[n-n/2:]] = "its first half", "its second half"
	}
	return forms
}

// String implements fmt.Stringer.
func (l Leak) String() string { return fmt.Sprintf("%s, %s", l.Secret, l.Form) }
