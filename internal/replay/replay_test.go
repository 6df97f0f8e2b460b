package replay

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const skew = 300

func numbered(n int) (key Key) {
	binary.BigEndian.PutUint64(key[:], uint64(n))
	return key
}

func at(seconds int64) func() time.Time {
	return func() time.Time { return time.Unix(seconds, 0) }
}

// From the first second in which a message is taken to the last, it is taken
// once; whatever second of a group it was made in, and however long it is good.
func TestCacheRemembersLongEnough(t *testing.T) {
	for created := int64(1700000000); created < 1700000000+span; created++ {
		for _, skew := range []int64{1, 59, 60, skew, 301} {
			for _, first := range []int64{-skew, -1, 0, 1, skew} {
				c := New(10)
				if got := c.Add(created, skew, at(created+first), numbered(1)); got != "" {
					t.Fatalf("created %d, %d s later: %q", created, first, got)
				}
				for later := first; later <= skew; later++ {
					if got := c.Add(created, skew, at(created+later), numbered(1)); got != Replayed {
						t.Fatalf("created %d, taken %d s and %d s later: %q", created, first, later, got)
					}
				}
				for _, late := range []int64{-skew - 1, skew + 1} {
					if got := c.Add(created, skew, at(created+late), numbered(2)); got != Expired {
						t.Fatalf("created %d, %d s later: %q", created, late, got)
					}
				}
			}
		}
	}
}

// One that is good for longer is not forgotten with those of its second.
func TestCacheOfManySkews(t *testing.T) {
	const start = 1700000040 // the first second of a group
	c := New(10)
	for n, skew := range []int64{10, 300, 3600} {
		if got := c.Add(start, skew, at(start), numbered(n)); got != "" {
			t.Fatal(got)
		}
	}
	for _, tc := range []struct {
		later int64
		n     int
		want  string
		held  int
	}{
		{10, 0, Replayed, 3},
		{300, 1, Replayed, 2},
		{300, 0, Expired, 2},
		{3600, 2, Replayed, 1},
		{3661, 2, Expired, 1}, // what is refused so forgets nothing
	} {
		skew := []int64{10, 300, 3600}[tc.n]
		if got := c.Add(start, skew, at(start+tc.later), numbered(tc.n)); got != tc.want || c.Len() != tc.held {
			t.Errorf("%d s later, key %d: %q, %d held", tc.later, tc.n, got, c.Len())
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	const start = 1700000040 // the first second of a group
	c := New(3)
	for n := range 3 {
		if got := c.Add(start+int64(n)*span, skew, at(start+100), numbered(n)); got != "" {
			t.Fatal(got)
		}
	}
	for _, later := range []int64{100, 300} {
		if got := c.Add(start+later, skew, at(start+later), numbered(9)); got != Full {
			t.Errorf("%d s later: %q", later, got)
		}
	}
	if got := c.Add(start+span, skew, at(start+300), numbered(1)); got != Replayed {
		t.Errorf("a replay while it is full: %q", got)
	}
	// the first group expires and makes room for one
	const later = start + span + skew
	if got := c.Add(later, skew, at(later), numbered(9), numbered(10)); got != Full || c.Len() != 2 {
		t.Errorf("two keys: %q, %d held", got, c.Len())
	}
	if got := c.Add(later, skew, at(later), numbered(9)); got != "" {
		t.Error(got)
	}
	if got := c.Add(later, skew, at(later), numbered(10)); got != Full {
		t.Error(got)
	}
	// then all
	if got := c.Add(later+10000, skew, at(later+10000), numbered(10)); got != "" || c.Len() != 1 || len(c.groups) != 1 {
		t.Errorf("%q, %d keys in %d groups", got, c.held, len(c.groups))
	}
}

// A message with several keys is known by each, and by none if it was refused.
func TestCacheOfManyKeys(t *testing.T) {
	c := New(5)
	add := func(keys ...Key) string { return c.Add(1700000000, skew, at(1700000000), keys...) }
	for _, tc := range []struct {
		want string
		keys []Key
		held int
	}{
		{"", []Key{numbered(1), numbered(2)}, 2},
		{Replayed, []Key{numbered(1)}, 2},
		{Replayed, []Key{numbered(3), numbered(2)}, 2},
		{"", []Key{numbered(3), numbered(3)}, 3},
		{Full, []Key{numbered(4), numbered(5), numbered(6)}, 3},
		{"", []Key{numbered(4), numbered(5)}, 5},
	} {
		if got := add(tc.keys...); got != tc.want || c.Len() != tc.held {
			t.Errorf("%v: %q, %d held", tc.keys, got, c.Len())
		}
	}
}

func TestCacheTakesOneOfMany(t *testing.T) {
	c := New(1000)
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 100 {
				if c.Add(1700000000, skew, at(1700000000), numbered(n)) == "" {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != 100 {
		t.Errorf("%d of 100 keys", taken.Load())
	}
}

func TestInTime(t *testing.T) {
	for _, tc := range []struct {
		created int64
		want    bool
	}{
		{699, false},
		{700, true},
		{1300, true},
		{1301, false},
		{math.MinInt64, false},
		{math.MaxInt64, false},
	} {
		if InTime(tc.created, skew, 1000) != tc.want {
			t.Errorf("%d at 1000: %v", tc.created, !tc.want)
		}
	}
}
