package proxyauth

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func numberedNonce(n int) (key nonceKey) {
	binary.BigEndian.PutUint64(key[:], uint64(n))
	return key
}

func at(seconds int64) func() time.Time {
	return func() time.Time { return time.Unix(seconds, 0) }
}

// From the first second in which a signature is taken to the last, it is taken
// once; whatever second of a group it was made in.
func TestReplayCacheRemembersLongEnough(t *testing.T) {
	for created := int64(1700000000); created < 1700000000+nonceSpan; created++ {
		for _, first := range []int64{-maxSkew, -1, 0, 1, maxSkew} {
			c := newReplayCache(10)
			if got := c.add(numberedNonce(1), created, at(created+first)); got != "" {
				t.Fatalf("created %d, %d s later: %q", created, first, got)
			}
			for later := first; later <= maxSkew; later++ {
				if got := c.add(numberedNonce(1), created, at(created+later)); got != "replayed" {
					t.Fatalf("created %d, taken %d s and %d s later: %q", created, first, later, got)
				}
			}
			for _, skew := range []int64{-maxSkew - 1, maxSkew + 1} {
				if got := c.add(numberedNonce(2), created, at(created+skew)); got != "expired" {
					t.Fatalf("created %d, %d s later: %q", created, skew, got)
				}
			}
		}
	}
}

func TestReplayCacheIsBounded(t *testing.T) {
	const start = 1700000040 // the first second of a group
	c := newReplayCache(3)
	for n := range 3 {
		if got := c.add(numberedNonce(n), start+int64(n)*nonceSpan, at(start+100)); got != "" {
			t.Fatal(got)
		}
	}
	for later, want := range map[int64]string{100: "replay_cache_full", 300: "replay_cache_full"} {
		if got := c.add(numberedNonce(9), start+later, at(start+later)); got != want {
			t.Errorf("%d s later: %q", later, got)
		}
	}
	if got := c.add(numberedNonce(1), start+nonceSpan, at(start+300)); got != "replayed" {
		t.Errorf("a replay while it is full: %q", got)
	}
	// the first group expires and makes room for one
	const later = start + nonceSpan + maxSkew
	if got := c.add(numberedNonce(9), later, at(later)); got != "" {
		t.Error(got)
	}
	if got := c.add(numberedNonce(10), later, at(later)); got != "replay_cache_full" {
		t.Error(got)
	}
	// then all
	if got := c.add(numberedNonce(10), later+10000, at(later+10000)); got != "" || c.held != 1 || len(c.groups) != 1 {
		t.Errorf("%q, %d nonces in %d groups", got, c.held, len(c.groups))
	}
}

func TestReplayCacheTakesOneOfMany(t *testing.T) {
	c := newReplayCache(1000)
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 100 {
				if c.add(numberedNonce(n), 1700000000, at(1700000000)) == "" {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != 100 {
		t.Errorf("%d of 100 nonces", taken.Load())
	}
}

func TestReplayKey(t *testing.T) {
	a := signatureParams{nonce: [16]byte{1}, keyID: "01234567"}
	b, c, same := a, a, a
	b.nonce[15] = 1
	c.keyID = "01234568"
	if keyOf(a) == keyOf(b) || keyOf(a) == keyOf(c) || keyOf(a) != keyOf(same) {
		t.Error("nonce and key do not make the key")
	}
}
