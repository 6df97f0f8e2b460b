package signature

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"

	secretSize = 32 // bytes of a new one
	minSecret  = 24
	maxSecret  = 64
)

// Secret signs webhooks, and verifies what it has signed. It is either a shared
// secret, which sender and receiver have (v1, HMAC-SHA256), or the private half
// of a key pair, which only the sender has (v1a, ed25519). It can be used by
// several goroutines.
//
// Whatever prints, logs or encodes it gets REDACTED; only Reveal returns it.
type Secret struct{ hidden[secretKey] }

// secretKey has one of both.
type secretKey struct {
	shared  *macKey
	private ed25519.PrivateKey
}

// NewSecret makes a random shared secret.
func NewSecret() Secret {
	key := make([]byte, secretSize)
	_, _ = rand.Read(key) // it never fails
	return newShared(key)
}

// NewKeyPair makes a random key pair; its public half is PublicKey's.
func NewKeyPair() Secret {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // it never fails
	return newPrivate(seed)
}

func newShared(key []byte) Secret { return Secret{hide(&secretKey{shared: newMACKey(key)})} }

func newPrivate(seed []byte) Secret {
	return Secret{hide(&secretKey{private: ed25519.NewKeyFromSeed(seed)})}
}

// ParseSecret parses a shared secret, whsec_ and the base64 of 24 to 64 bytes,
// or the private half of a key pair, whsk_ and the base64 of its 32 bytes, with
// or without the 32 of the public half. Base64 with no prefix is a shared
// secret. The error does not hold the text.
func ParseSecret(text string) (Secret, error) {
	switch {
	case text == "":
		return Secret{}, errors.New("the secret is empty")
	case strings.HasPrefix(text, publicPrefix):
		return Secret{}, errors.New("this is a public key (" + publicPrefix + "), not a secret")
	}
	if encoded, private := strings.CutPrefix(text, privatePrefix); private {
		return parsePrivate(encoded)
	}
	key, ok := decode(strings.TrimPrefix(text, secretPrefix))
	if !ok {
		return Secret{}, errors.New("the secret is not base64, nor " + secretPrefix + " and base64")
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, fmt.Errorf("the secret has %d bytes; it must have %d to %d", len(key), minSecret, maxSecret)
	}
	return newShared(key), nil
}

func parsePrivate(encoded string) (Secret, error) {
	key, ok := decode(encoded)
	if !ok || len(key) != ed25519.SeedSize && len(key) != ed25519.PrivateKeySize {
		return Secret{}, errors.New("the private key is not " + privatePrefix + " and the base64 of 32 or 64 bytes")
	}
	secret := newPrivate(key[:ed25519.SeedSize])
	// a signature with another public half gives the private one away
	if len(key) == ed25519.PrivateKeySize && !secret.reveal().private.Equal(ed25519.PrivateKey(key)) {
		return Secret{}, errors.New("the halves of the private key are not of one pair")
	}
	return secret, nil
}

// decode decodes base64 in its one spelling: padded, and without line breaks.
func decode(encoded string) ([]byte, bool) {
	if strings.ContainsAny(encoded, "\r\n") {
		return nil, false
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return decoded, err == nil
}

// Reveal returns the secret as ParseSecret takes it: whsec_ and base64, or whsk_
// and the base64 of both halves. It is empty where there is none.
func (s Secret) Reveal() string {
	key := s.reveal()
	switch {
	case key == nil:
		return ""
	case key.private != nil:
		return privatePrefix + base64.StdEncoding.EncodeToString(key.private)
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(key.shared.bytes)
}

// PublicKey returns the public half of a key pair. A shared secret has none.
func (s Secret) PublicKey() (PublicKey, bool) {
	key := s.reveal()
	if key == nil || key.private == nil {
		return PublicKey{}, false
	}
	return PublicKey{key.private.Public().(ed25519.PublicKey)}, true
}
