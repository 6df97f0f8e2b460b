package delivery

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// start is a request that an endpoint got.
type start struct {
	event string
	at    time.Time
	body  int
}

// endpoint is a subscriber's webhook.
type endpoint struct {
	answer func(n int, ctx context.Context) (status int, header http.Header) // n counts from 1; nil for 200 at once

	starts         []start
	inFlight, most int
}

// network is all endpoints, by host name. It is the http.RoundTripper.
type network struct {
	mu             sync.Mutex
	endpoints      map[string]*endpoint
	inFlight, most int
	watch          func()
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.watch()
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	to := n.endpoints[r.URL.Host]
	to.starts = append(to.starts, start{r.Header.Get("webhook-id"), time.Now(), int(size)})
	count := len(to.starts)
	to.inFlight++
	n.inFlight++
	to.most, n.most = max(to.most, to.inFlight), max(n.most, n.inFlight)
	answer := to.answer
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		to.inFlight--
		n.inFlight--
	}()
	status, header := 200, http.Header(nil)
	if answer != nil {
		status, header = answer(count, r.Context())
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// Answers of endpoints.

func status(code int) func(int, context.Context) (int, http.Header) {
	return func(int, context.Context) (int, http.Header) { return code, nil }
}

func hang(_ int, ctx context.Context) (int, http.Header) {
	<-ctx.Done()
	return 0, nil
}

func slow(latency time.Duration) func(int, context.Context) (int, http.Header) {
	return func(_ int, ctx context.Context) (int, http.Header) {
		wait(ctx, latency)
		return 200, nil
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// world is one engine with its store and its endpoints, in a bubble of
// testing/synctest: time passes when nothing else is to be done.
type world struct {
	*ledger
	*Engine
	store *store
	net   *network

	broken sync.Once // bounds how much is said of it

	others bool                 // whether there are other nodes
	commit func() time.Duration // how long publishing takes to be committed
}

// newWorld returns one whose engine does not run yet.
func newWorld(t *testing.T, config Config) *world {
	w := &world{ledger: newLedger(t), net: &network{endpoints: make(map[string]*endpoint)}}
	return w.node("node1", config)
}

// node returns another node on the same store and network.
func (w *world) node(name string, config Config) *world {
	other := &world{ledger: w.ledger, net: w.net}
	other.store = &store{ledger: w.ledger, node: name, watch: other.checkMemory}
	if w.net.watch == nil {
		w.net.watch = other.checkMemory
	}
	config.Node, config.Store, config.Client = name, other.store, w.net
	if config.Logger == nil {
		config.Logger = zap.NewNop()
	}
	other.Engine = New(config)
	return other
}

// run runs a test with an engine that runs, and checks at the end that it has
// stopped without a trace.
func run(t *testing.T, config Config, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config)
		w.start()
		defer w.stop(context.Background())
		test(w)
	})
}

func (w *world) start() {
	w.t.Helper()
	if err := w.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// stop stops the engine, and checks that nothing is leased, or counted, or left.
func (w *world) stop(ctx context.Context) {
	w.t.Helper()
	w.Stop(ctx)
	synctest.Wait()
	if leased := w.leased(); len(leased) > 0 {
		w.t.Errorf("still leased after the stop: %v", leased)
	}
	w.checkIdle()
}

// checkIdle checks that the engine remembers nothing.
func (w *world) checkIdle() {
	w.t.Helper()
	w.Engine.mu.Lock()
	defer w.Engine.mu.Unlock()
	e := w.Engine
	if e.held != 0 || e.heldBytes != 0 || e.inFlight != 0 || e.lateInFlight != 0 {
		w.t.Errorf("held %d, %d bytes; in flight %d, %d late", e.held, e.heldBytes, e.inFlight, e.lateInFlight)
	}
	if len(e.queues) != 0 || len(e.wakeups) != 0 || len(e.hungry) != 0 {
		w.t.Errorf("%d queues, %d wakeups, %d hungry", len(e.queues), len(e.wakeups), len(e.hungry))
	}
}

// checkMemory checks that the engine is within its bounds.
func (w *world) checkMemory() {
	w.Engine.mu.Lock()
	defer w.Engine.mu.Unlock()
	e := w.Engine
	if e.held < 0 || e.held > e.Held || e.heldBytes < 0 || e.heldBytes > e.HeldBytes {
		w.broken.Do(func() { w.t.Errorf("held %d of %d, %d of %d bytes", e.held, e.Held, e.heldBytes, e.HeldBytes) })
	}
	if e.inFlight < 0 || e.lateInFlight < 0 || e.inFlight > e.InFlight || e.lateInFlight > max(1, e.InFlight/4) {
		w.t.Errorf("in flight %d of %d, %d late", e.inFlight, e.InFlight, e.lateInFlight)
	}
	items := 0
	for _, q := range e.queues {
		items += len(q.items) + q.reserved
		if q.inFlight < 0 || q.inFlight > e.PerSubscription || q.reserved < 0 || q.unstored < 0 {
			w.t.Errorf("%s: in flight %d, reserved %d, unstored %d", q.id, q.inFlight, q.reserved, q.unstored)
		}
	}
	if items > e.held {
		w.t.Errorf("%d in queues, and %d held", items, e.held)
	}
}

// subscribe makes a subscription and its endpoint.
func (w *world) subscribe(id string, target Target, answer func(n int, ctx context.Context) (int, http.Header)) *endpoint {
	target.URL = "https://" + id + "/hook"
	if target.Secrets == nil {
		target.Secrets = []signature.Secret{secret}
	}
	w.setTarget(id, &target)
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	to := &endpoint{answer: answer}
	w.net.endpoints[id] = to
	return to
}

var secret, _ = signature.ParseSecret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")

// publish commits an event for subscriptions, as a publisher does, and returns
// its id.
func (w *world) publish(to ...string) string { return w.publishSize(2, to...) }

func (w *world) publishSize(size int, to ...string) string {
	recipients := make([]Recipient, len(to))
	for i, id := range to {
		recipients[i] = w.recipient(id)
	}
	reserved := w.Reserve(recipients, size)
	if w.commit != nil {
		time.Sleep(w.commit())
	}
	w.ledger.mu.Lock()
	message := &Message{EventID: fmt.Sprint("evt_", w.last), Published: time.Now(), Body: body[:size]}
	deliveries := make([]*Delivery, len(to))
	for i, id := range to {
		if !reserved[i] || w.others && recipients[i].Ordered && w.isOthers(id) {
			w.insert(id, message, "")
			continue
		}
		deliveries[i] = w.insert(id, message, w.Node)
	}
	w.ledger.mu.Unlock()
	if w.commit != nil {
		time.Sleep(w.commit())
	}
	w.Offer(recipients, size, reserved, deliveries)
	return message.EventID
}

// isOthers reports whether there are deliveries of a subscription that this node
// has not: what is published to an ordered one then queues up behind them. The
// ledger is locked.
func (w *world) isOthers(id string) bool {
	return slices.ContainsFunc(w.subscriptions[id].rows, func(r *row) bool { return r.state == Pending && r.node != w.Node })
}

func (w *world) recipient(id string) Recipient {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return w.subscriptions[id].to
}

var body [1 << 20]byte // all events' are parts of it

// backlog stores deliveries that nobody has leased, behind the engine's back.
func (w *world) backlog(to string, n, size int) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for range n {
		w.insert(to, &Message{EventID: fmt.Sprint("evt_", w.last), Published: time.Now(), Body: body[:size]}, "")
	}
}

// seen returns the requests that an endpoint got.
func (w *world) seen(to *endpoint) []start {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	return append([]start(nil), to.starts...)
}

// until lets time pass until something holds, and reports whether it did.
func (w *world) until(limit time.Duration, holds func() bool) bool {
	for end := time.Now().Add(limit); ; {
		synctest.Wait()
		if holds() {
			return true
		}
		if !time.Now().Before(end) {
			return false
		}
		time.Sleep(max(limit/1000, time.Millisecond))
	}
}

// ended lets time pass until no delivery is pending, and reports whether that
// came to be.
func (w *world) ended(limit time.Duration) bool {
	w.t.Helper()
	if w.until(limit, func() bool { return w.count("")[Pending] == 0 }) {
		return true
	}
	w.t.Errorf("after %v: %v", limit, w.count(""))
	return false
}
