package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
)

// HubField is the header field of the other signature that is in wide use, by
// GitHub among others: sha256= and the hex of the body's HMAC-SHA256. It covers
// neither an id nor a time, so who has seen a request can send it again.
const HubField = "X-Hub-Signature-256"

const hubPrefix = "sha256="

var hubField = newField(HubField)

// HubSecret makes and verifies the signature in HubField. The bytes of its text
// are the key: of a whsec_ secret too, prefix and all.
//
// Whatever prints, logs or encodes it gets REDACTED.
type HubSecret struct{ hidden[macKey] }

// ParseHubSecret returns the secret with that text, which can be any but an
// empty one or a public key.
func ParseHubSecret(text string) (HubSecret, error) {
	switch {
	case text == "":
		return HubSecret{}, errors.New("the secret is empty")
	case strings.HasPrefix(text, publicPrefix):
		return HubSecret{}, errors.New("this is a public key (" + publicPrefix + "), not a secret")
	}
	return HubSecret{hide(newMACKey([]byte(text)))}, nil
}

// SignHub makes the signature of the body the only value of HubField in h.
func SignHub(h http.Header, body []byte, secret HubSecret) error {
	if secret.IsZero() {
		return errors.New("the secret is not set")
	}
	key := secret.reveal()
	mac := key.get()
	defer key.put(mac)
	hubField.spellings.Strip(h)
	h[HubField] = []string{hubPrefix + hex.EncodeToString(mac.of(body))}
	return nil
}

// HubSignature is what a request has in HubField.
type HubSignature [sha256.Size]byte

// ParseHub reads HubField. It fails with ErrMissing or ErrMalformed.
func ParseHub(h http.Header) (sum HubSignature, err error) {
	value, err := hubField.find(h)
	if err != nil {
		return sum, err
	}
	encoded, prefixed := strings.CutPrefix(value, hubPrefix)
	if !prefixed || len(encoded) != hex.EncodedLen(len(sum)) {
		return sum, hubField.malformed()
	}
	if _, err := hex.Decode(sum[:], []byte(encoded)); err != nil {
		return HubSignature{}, hubField.malformed()
	}
	return sum, nil
}

// Match returns the index of the first secret that the body was signed with. It
// fails with ErrNoMatch.
func (sum HubSignature) Match(body []byte, secrets ...HubSecret) (int, error) {
	for i, secret := range secrets {
		if secret.signed(body, sum) {
			return i, nil
		}
	}
	return -1, ErrNoMatch
}

func (s HubSecret) signed(body []byte, sum HubSignature) bool {
	if s.IsZero() {
		return false // anyone can sign with an empty key
	}
	key := s.reveal()
	mac := key.get()
	defer key.put(mac)
	return subtle.ConstantTimeCompare(mac.of(body), sum[:]) == 1
}
