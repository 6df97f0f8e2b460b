package delivery

import (
	"bytes"
	"context"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// goroutine returns the name of the one that calls it.
func goroutine() string {
	var stack [64]byte
	name, _, _ := bytes.Cut(stack[:runtime.Stack(stack[:], false)], []byte(" ["))
	return string(name)
}

// A worker makes one attempt after the other, ends when it has had none for a
// while, and holds up no Stop.
func TestWorkers(t *testing.T) {
	run(t, Config{}, func(w *world) {
		workers := make(map[string]int)
		w.subscribe("a", Target{}, func(int, context.Context) (int, http.Header) {
			workers[goroutine()]++
			return 200, nil
		})
		publish := func() {
			w.publish("a")
			synctest.Wait()
		}
		for range 3 {
			publish()
			time.Sleep(workerRest / 2)
		}
		if len(workers) != 1 {
			t.Errorf("attempts by worker: %v, want one worker", workers)
		}
		time.Sleep(2 * workerRest)
		publish()
		if len(workers) != 2 {
			t.Errorf("attempts by worker: %v, want another one after the rest", workers)
		}
		stopping := time.Now()
		w.stop(context.Background())
		if took := time.Since(stopping); took >= workerRest/2 {
			t.Errorf("a worker that rests holds up Stop for %v", took)
		}
	})
}
