package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// macKey makes HMAC-SHA256 of a key. It keeps what it has made ready of the key,
// which is half the work for a short message.
type macKey struct {
	bytes []byte
	ready sync.Pool // of *mac
}

type mac struct {
	hash.Hash
	sum [sha256.Size]byte
}

func newMACKey(key []byte) *macKey {
	k := &macKey{bytes: key}
	k.ready.New = func() any { return &mac{Hash: hmac.New(sha256.New, k.bytes)} }
	return k
}

func (k *macKey) get() *mac  { return k.ready.Get().(*mac) }
func (k *macKey) put(m *mac) { k.ready.Put(m) }

// of returns the code of the parts in a row, until m is used again.
func (m *mac) of(parts ...[]byte) []byte {
	m.Reset()
	for _, part := range parts {
		_, _ = m.Write(part) // it never fails
	}
	return m.Sum(m.sum[:0])
}
