package proxyauth

import "testing"

func TestReplayKey(t *testing.T) {
	a := signatureParams{nonce: [16]byte{1}, keyID: "01234567"}
	b, c, same := a, a, a
	b.nonce[15] = 1
	c.keyID = "01234568"
	if keyOf(a) == keyOf(b) || keyOf(a) == keyOf(c) || keyOf(a) != keyOf(same) {
		t.Error("nonce and key do not make the key")
	}
}
