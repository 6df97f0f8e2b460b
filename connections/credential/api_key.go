package credential

import (
	"net/http"
	"strings"
)

// APIKey is a key that is sent as it is, in a header, a parameter or a cookie.
type APIKey struct{ Place Place }

// Type implements Scheme.
func (APIKey) Type() string { return "api_key" }

func (s APIKey) check() error    { return s.Place.check() }
func (s APIKey) claims() []claim { return []claim{s.Place.claim()} }

func (s APIKey) read(m *members) applier {
	value := m.text("value", maxValue)
	if !s.Place.takes(value) {
		m.fail("value", "has characters that a "+s.Place.In+" cannot carry")
	}
	return apiKey{s.Place, SecretOf(value)}
}

type apiKey struct {
	place Place
	value Secret
}

func (k apiKey) apply(r *http.Request, _ Attempt) error {
	k.place.set(r, k.value.Reveal())
	return nil
}

// sent includes the last word: of `Token x`, an API may repeat x.
func (k apiKey) sent() []string {
	value := k.value.Reveal()
	if k.place.In == inQuery {
		return nil // it is found in the URL
	}
	return []string{value, value[strings.LastIndexByte(value, ' ')+1:]}
}

func (k apiKey) form() any {
	return struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}{APIKey{}.Type(), k.value.Reveal()}
}

// Interface guard
var _ Scheme = APIKey{}
