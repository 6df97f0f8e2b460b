package oauth

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// What is remembered of refreshes that are over makes room for others: a server that
// is away does not keep those of another one from being asked. Those that run do not.
func TestRoomForFlights(t *testing.T) {
	fill := func(r *Refresher, over bool) {
		for i := range maxFlights {
			f := &flight{done: make(chan struct{}), err: errors.New("failed"), until: time.Now().Add(time.Hour)}
			if over {
				close(f.done)
			}
			r.flights[fmt.Sprint("other ", i)] = f
		}
	}
	_, m, nodes := newWorld(t, 1)
	fill(nodes[0], true)
	if rec, err := nodes[0].Force(t.Context(), id); err != nil || rec.Version != m.present().Version || rec.Version != 2 {
		t.Errorf("%+v %v", rec, err)
	}
	if n := len(nodes[0].flights); n > maxFlights {
		t.Errorf("%d are remembered", n)
	}
	_, _, nodes = newWorld(t, 1)
	fill(nodes[0], false)
	var e *Error
	if _, err := nodes[0].Force(t.Context(), id); !errors.As(err, &e) || e.Kind != Transient || e.Reason != "too many refreshes" {
		t.Errorf("%v", err)
	}
}
