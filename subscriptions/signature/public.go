package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// PublicKey verifies what the private half of its pair has signed (v1a,
// ed25519). It is no secret.
type PublicKey struct{ key ed25519.PublicKey }

// weakKeys are the encodings of the points of small order, without their sign
// bit. Anybody can sign for a public key that is one of them.
var weakKeys = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// ParsePublicKey parses whpk_ and the base64 of 32 bytes.
func ParsePublicKey(text string) (PublicKey, error) {
	encoded, prefixed := strings.CutPrefix(text, publicPrefix)
	key, ok := decode(encoded)
	if !prefixed || !ok || len(key) != ed25519.PublicKeySize {
		return PublicKey{}, errors.New("the public key is not " + publicPrefix + " and the base64 of 32 bytes")
	}
	unsigned := slices.Clone(key)
	unsigned[len(unsigned)-1] &= 0x7f
	if slices.Contains(weakKeys, hex.EncodeToString(unsigned)) {
		return PublicKey{}, errors.New("the public key is one that anybody can sign for")
	}
	return PublicKey{key}, nil
}

// IsZero reports whether there is no key.
func (k PublicKey) IsZero() bool { return k.key == nil }

// String returns the key as ParsePublicKey takes it. It is empty where there is
// none.
func (k PublicKey) String() string {
	if k.IsZero() {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(k.key)
}

// ParseVerifier parses what a receiver has: a shared secret or a public key. The
// error does not hold the text.
func ParseVerifier(text string) (Verifier, error) {
	if strings.HasPrefix(text, publicPrefix) {
		return ParsePublicKey(text)
	}
	if strings.HasPrefix(text, privatePrefix) {
		return nil, errors.New("this is a private key (" + privatePrefix + "), which only the sender has; verify with its public key")
	}
	return ParseSecret(text)
}
