package datastore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	keySize    = 32 // AES-256
	keyIDSize  = 4
	headerSize = 1 + keyIDSize

	sealedVersion = 1 // of the record: version, key id, nonce, ciphertext, tag
)

var (
	// ErrUnknownKey says that something was sealed with a key that the ring lacks,
	// perhaps by a node that has more keys. It is an ErrNotReady.
	ErrUnknownKey error = notReady{errors.New("something is sealed with a key that is not in encryption_keys")}

	// ErrNotAuthentic says that something sealed was changed, or was sealed with
	// other additional data: it belongs to another row.
	ErrNotAuthentic = errors.New("changed after it was sealed, or sealed for another place")

	// ErrMalformed says that something was not sealed by a KeyRing.
	ErrMalformed = errors.New("not a sealed record")
)

type keyID [keyIDSize]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

// key hangs on pointers so that fmt, which doesn't ask the methods of
// unexported fields, prints addresses of it.
type key struct {
	id   keyID
	aead cipher.AEAD
	uses prometheus.Counter // each with a random nonce
}

// KeyRing seals what must not be read in the database, and opens it. Its first
// key seals, all of them open. It is safe for concurrent use.
type KeyRing struct{ keys []*key }

// NewKey returns a new random key, as encryption_keys takes it.
func NewKey() string {
	plain := make([]byte, keySize)
	_, _ = rand.Read(plain) // never fails
	return base64.StdEncoding.EncodeToString(plain)
}

// newKeyRing makes a ring of texts that have one or more keys each, separated
// by white space. Errors don't show them.
func newKeyRing(texts ...string) (*KeyRing, error) {
	ring := new(KeyRing)
	for _, encoded := range strings.Fields(strings.Join(texts, " ")) {
		position := len(ring.keys) + 1
		plain, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(plain) != keySize {
			return nil, fmt.Errorf("key %d is not %d bytes in base64", position, keySize)
		}
		k := new(key)
		sum := sha256.Sum256(plain)
		copy(k.id[:], sum[:])
		if ring.find(k.id) != nil {
			return nil, fmt.Errorf("key %d is there twice", position)
		}
		block, err := aes.NewCipher(plain)
		if err != nil {
			return nil, err
		}
		if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
		k.uses = seals.WithLabelValues(k.id.String())
		ring.keys = append(ring.keys, k)
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return ring, nil
}

func (r *KeyRing) find(id keyID) *key {
	if i := slices.IndexFunc(r.keys, func(k *key) bool { return k.id == id }); i >= 0 {
		return r.keys[i]
	}
	return nil
}

// Seal encrypts a plaintext with the first key. The additional data is where it
// belongs, such as table, column and row: only with the same can it be opened.
func (r *KeyRing) Seal(plaintext, additionalData []byte) []byte {
	first := r.keys[0]
	first.uses.Inc()
	sealed := make([]byte, 0, headerSize+len(plaintext)+first.aead.Overhead())
	sealed = append(append(sealed, sealedVersion), first.id[:]...)
	return first.aead.Seal(sealed, nil, plaintext, bound(sealed[:headerSize], additionalData))
}

// Open decrypts what Seal returned. Its errors are ErrUnknownKey,
// ErrNotAuthentic and ErrMalformed.
func (r *KeyRing) Open(sealed, additionalData []byte) ([]byte, error) {
	id, err := keyOf(sealed)
	if err != nil {
		return nil, err
	}
	k := r.find(id)
	if k == nil {
		return nil, fmt.Errorf("%w: key %s", ErrUnknownKey, id)
	}
	plaintext, err := k.aead.Open(nil, nil, sealed[headerSize:], bound(sealed[:headerSize], additionalData))
	if err != nil {
		return nil, ErrNotAuthentic
	}
	return plaintext, nil
}

// Current reports whether something is sealed with the first key. What is not
// can be sealed again when it is written next.
func (r *KeyRing) Current(sealed []byte) bool {
	id, err := keyOf(sealed)
	return err == nil && id == r.keys[0].id
}

// keyOf returns the id of the key that something is sealed with.
func keyOf(sealed []byte) (id keyID, err error) {
	if len(sealed) < headerSize || sealed[0] != sealedVersion {
		return id, ErrMalformed
	}
	copy(id[:], sealed[1:])
	return id, nil
}

// bound is what the tag vouches for beside the plaintext.
func bound(header, additionalData []byte) []byte {
	return slices.Concat(header, additionalData)
}

// fingerprint tells rings apart.
func (r *KeyRing) fingerprint() string {
	var ids bytes.Buffer
	for _, k := range r.keys {
		ids.WriteString(k.id.String())
	}
	return ids.String()
}

// Format implements fmt.Formatter, so that no verb prints the keys.
func (KeyRing) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("REDACTED")) }

// MarshalText implements encoding.TextMarshaler, for encoding/json and loggers.
func (KeyRing) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// Interface guard
var _ fmt.Formatter = KeyRing{}
