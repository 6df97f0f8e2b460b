package pace

import (
	"strconv"
	"testing"
	"time"
)

func TestBegin(t *testing.T) {
	p, start := New(time.Second), time.Now()
	for i, step := range []struct {
		at   time.Duration
		key  string
		want bool
	}{
		{0, "a", true},
		{0, "a", false},
		{900 * time.Millisecond, "b", true},
		{999 * time.Millisecond, "a", false},
		{1000 * time.Millisecond, "a", true},
		{1899 * time.Millisecond, "b", false}, // it is among the old ones by now
		{1900 * time.Millisecond, "b", true},
		{1999 * time.Millisecond, "a", false},
		{2000 * time.Millisecond, "a", true},
		{2899 * time.Millisecond, "b", false},
		{time.Hour, "a", true},
		{time.Hour, "b", true},
		{time.Hour, "b", false},
	} {
		if got := p.Begin(step.key, start.Add(step.at)); got != step.want {
			t.Errorf("step %d, %s after %v: %v", i, step.key, step.at, got)
		}
	}
}

// No more is remembered than has begun in two intervals, and that is bounded.
func TestMemory(t *testing.T) {
	p, now := New(time.Second), time.Now()
	for i := range 3 * maxKeys {
		if got := p.Begin(strconv.Itoa(i), now); got != (i < maxKeys) {
			t.Fatalf("key %d: %v", i, got)
		}
	}
	for i := range 5 {
		now = now.Add(time.Second)
		if !p.Begin(strconv.Itoa(i), now) {
			t.Fatalf("an interval later, key %d may not begin", i)
		}
	}
	if n := len(p.young) + len(p.old); n > 2 {
		t.Errorf("%d keys are remembered", n)
	}
}
