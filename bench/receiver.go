package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// receiver is the subscribers' end, in the child process.
type receiver struct {
	webhooks *httptest.Server // answers 200 with no body
	hanging  *httptest.Server // accepts and never answers

	received atomic.Int64
	inFlight atomic.Int64
	most     atomic.Int64 // at a time

	mu        sync.Mutex
	last      time.Time       // of the receipts
	timed     bool            // whether latencies are taken
	latencies []time.Duration // from publishing to receipt
	release   chan struct{}   // closed to let go of those that hang
}

func newReceiver() *receiver { return &receiver{release: make(chan struct{})} }

func (r *receiver) start() {
	r.webhooks = httptest.NewServer(http.HandlerFunc(r.receive))
	r.hanging = httptest.NewServer(http.HandlerFunc(r.hang))
}

func (r *receiver) receive(w http.ResponseWriter, request *http.Request) {
	for now := r.inFlight.Add(1); ; {
		most := r.most.Load()
		if now <= most || r.most.CompareAndSwap(most, now) {
			break
		}
	}
	defer r.inFlight.Add(-1)
	body, err := io.ReadAll(request.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.note(body)
}

func (r *receiver) note(body []byte) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received.Add(1)
	r.last = now
	if !r.timed {
		return
	}
	if _, after, found := bytes.Cut(body, []byte(sentMember)); found && len(after) >= sentDigits {
		if sent, err := strconv.ParseInt(string(after[:sentDigits]), 10, 64); err == nil {
			r.latencies = append(r.latencies, now.Sub(time.Unix(0, sent)))
		}
	}
}

func (r *receiver) hang(_ http.ResponseWriter, request *http.Request) {
	_, _ = io.Copy(io.Discard, request.Body)
	r.mu.Lock()
	release := r.release
	r.mu.Unlock()
	select {
	case <-release:
		panic(http.ErrAbortHandler) // closes the connection
	case <-request.Context().Done():
	}
}

// letGo ends the requests that hang. Later ones hang again.
func (r *receiver) letGo() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.release)
	r.release = make(chan struct{})
}

// begin counts from zero.
func (r *receiver) begin(timed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received.Store(0)
	r.most.Store(0)
	r.timed, r.latencies = timed, nil
}

// await waits until so many have arrived, and returns when the last one did.
func (r *receiver) await(count int) (last time.Time, err error) {
	for deadline := time.Now().Add(settleTimeout); r.received.Load() < int64(count); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return last, fmt.Errorf("%d of %d deliveries arrived in %v", r.received.Load(), count, settleTimeout)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, nil
}

// PublishOrder is one call of Publish or Pace.
type PublishOrder struct {
	Name       string
	Requests   int
	Deliveries int // to wait for; of Pace, one for each request
	Rate       int // requests a second, of Pace
}

// Received is what came of publishing.
type Received struct {
	Elapsed   time.Duration   // from the first request to the last receipt
	Latencies []time.Duration // of each delivery, of Pace
	Most      int             // that the receiver had at a time
}

// Publish sends requests as fast as the site answers them, and waits for the
// deliveries.
func (c *Child) Publish(o PublishOrder, received *Received) error {
	c.receiver.begin(false)
	start := time.Now()
	last := start
	err := c.targets[o.Name].send(o.Requests, nil)
	if err == nil && o.Deliveries > 0 {
		last, err = c.receiver.await(o.Deliveries)
	}
	*received = Received{Elapsed: last.Sub(start), Most: int(c.receiver.most.Load())}
	return err
}

// Pace sends requests at a steady rate, each with the time when it was to be
// sent in it, and waits for the deliveries.
func (c *Child) Pace(o PublishOrder, received *Received) error {
	c.receiver.begin(true)
	start := time.Now()
	err := c.targets[o.Name].send(o.Requests, func(n int, request []byte) []byte {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(o.Rate))
		time.Sleep(time.Until(due))
		at := bytes.Index(request, []byte(sentMember)) + len(sentMember)
		stamped := bytes.Clone(request)
		copy(stamped[at:], fmt.Sprintf("%0*d", sentDigits, due.UnixNano()))
		return stamped
	})
	if err != nil {
		return err
	}
	last, err := c.receiver.await(o.Requests)
	received.Elapsed = last.Sub(start)
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	received.Latencies = c.receiver.latencies
	return err
}

// Begin has Count count from zero.
func (c *Child) Begin(struct{}, *struct{}) error {
	c.receiver.begin(false)
	return nil
}

// Count returns what has arrived since, and how many of it at a time.
func (c *Child) Count(_ struct{}, counts *[2]int) error {
	*counts = [2]int{int(c.receiver.received.Load()), int(c.receiver.most.Load())}
	return nil
}

// LetGo ends the requests that hang.
func (c *Child) LetGo(struct{}, *struct{}) error {
	c.receiver.letGo()
	return nil
}
