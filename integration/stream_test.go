package integration

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
)

const gib = 1 << 30

// S43: a GiB goes through in each direction, unchanged, and Caddy, the client and
// the upstream together, which are this process, grow by less than 8 MiB.
func TestGiBStreamsBothWays(t *testing.T) {
	if testing.Short() {
		t.Skip("it moves 2 GiB")
	}
	size := int64(gib)
	if raceEnabled {
		size = gib / 8
		t.Log("with the race detector, 128 MiB each way instead of 1 GiB")
	}
	received := make(chan [sha256.Size]byte, 1)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			received <- digest(t, r.Body)
			return
		}
		_, _ = io.Copy(w, io.LimitReader(&counting{}, size))
	}))
	t.Cleanup(origin.Close)
	s := start(t, "", edgeWith(t, &upstream{url: origin.URL}, "max_body 2GiB"))
	want := digest(t, io.LimitReader(&counting{}, size))

	// once for what is allocated for good: buffers, connections
	stream(t, s, http.MethodPut, io.LimitReader(&counting{}, 1<<20))
	<-received
	before := settledHeap()
	stop, peak := watchHeap()

	stream(t, s, http.MethodPut, io.LimitReader(&counting{}, size))
	if got := <-received; got != want {
		t.Error("the upstream got other bytes")
	}
	if got := stream(t, s, http.MethodGet, nil); got != want {
		t.Error("the client got other bytes")
	}
	close(stop)
	if grown := int64(<-peak) - int64(before); grown > 8<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

func stream(t *testing.T, s *server, method string, body io.Reader) [sha256.Size]byte {
	t.Helper()
	res := s.send(method, body)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%d", res.StatusCode)
	}
	return digest(t, res.Body)
}

func digest(t *testing.T, r io.Reader) (sum [sha256.Size]byte) {
	t.Helper()
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		t.Errorf("streaming: %v", err)
	}
	copy(sum[:], hash.Sum(nil))
	return sum
}

// settledHeap returns the bytes of live objects.
func settledHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// watchHeap samples the live heap until stop is closed, and then sends its peak.
// Each sample collects garbage first: what is asked is what streaming holds,
// not how lazy the collector is.
func watchHeap() (stop chan struct{}, peak chan uint64) {
	stop, peak = make(chan struct{}), make(chan uint64, 1)
	go func() {
		var most uint64
		for {
			most = max(most, settledHeap())
			select {
			case <-stop:
				peak <- most
				return
			default:
			}
		}
	}()
	return stop, peak
}

// counting is a body in which no two blocks are alike.
type counting struct{ n uint64 }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c.n >> (c.n & 31))
		c.n++
	}
	return len(p), nil
}
