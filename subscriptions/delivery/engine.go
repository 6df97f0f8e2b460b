package delivery

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Config is what shapes an Engine.
type Config struct {
	Node   string // this process, in leases
	Store  Store
	Client http.RoundTripper // the guarded way out
	Logger *zap.Logger

	InFlight        int // attempts at a time; default 512
	PerSubscription int // attempts at a time for one subscription; default 8
	Held            int // deliveries in memory; default 8192
}

// heldPerQueue is how many deliveries of one subscription memory holds, so that
// a hanging endpoint does not take the room of others.
const heldPerQueue = 256

// Engine sends deliveries. Its methods may be called at any time, also before
// Start and after Stop, when they only keep nothing in memory.
type Engine struct {
	Config
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc

	mu       sync.Mutex
	running  bool
	resumed  bool // whether it is known what waits in the store
	queues   map[string]*queue
	ring     []*queue // in line for a slot, in turn
	inFlight int
	held     int // in memory: waiting, in flight, and not yet stored as finished
	wakeups  wakeups
	timer    *time.Timer

	results  chan Result
	tasks    sync.WaitGroup // attempts and refills
	finished chan struct{}  // when the last result is stored
}

// New returns an engine that does not run yet.
func New(config Config) *Engine {
	if config.InFlight == 0 {
		config.InFlight = 512
	}
	if config.PerSubscription == 0 {
		config.PerSubscription = 8
	}
	if config.Held == 0 {
		config.Held = 8192
	}
	return &Engine{Config: config, queues: make(map[string]*queue)}
}

// Running reports whether the engine has been started and not stopped.
func (e *Engine) Running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running
}

// Start takes up what waits in the store. It must not run already.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.results = make(chan Result, e.InFlight)
	e.finished = make(chan struct{})
	e.timer = time.AfterFunc(time.Hour, e.wake)
	// before the store is asked: what is published meanwhile is offered
	e.running = true
	go e.finish()
	e.mu.Unlock()

	if err := e.Resume(ctx); err != nil {
		e.Stop(ctx)
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resumed = true
	return nil
}

// Resume takes up what waits in the store and nobody has leased.
func (e *Engine) Resume(ctx context.Context) error {
	waiting, err := e.Store.Waiting(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, due := range waiting {
		e.wakeAt(e.queue(due.Recipient), due.At)
	}
	e.wakeDue()
	return nil
}

// Stop ends what is under way and gives back what was not tried. Attempts that
// have begun may end, until the context does.
func (e *Engine) Stop(ctx context.Context) {
	e.mu.Lock()
	if !e.running {
		e.mu.Unlock()
		return
	}
	e.running, e.resumed = false, false
	e.timer.Stop()
	var untried []*Delivery
	for _, q := range e.queues {
		untried = append(untried, q.items...)
		q.items = nil
	}
	e.ring, e.wakeups = nil, nil
	e.mu.Unlock()

	ended := context.AfterFunc(ctx, e.cancel)
	e.tasks.Wait()
	ended()
	close(e.results)
	<-e.finished
	e.cancel()
	e.release(context.WithoutCancel(ctx), untried)
	e.mu.Lock()
	e.queues, e.held, e.inFlight = make(map[string]*queue), 0, 0
	e.mu.Unlock()
}

// release gives deliveries back to the store.
func (e *Engine) release(ctx context.Context, deliveries []*Delivery) {
	if len(deliveries) == 0 {
		return
	}
	if err := e.Store.Release(ctx, deliveries); err != nil {
		e.Logger.Error("giving deliveries back failed", zap.Error(err), zap.Int("deliveries", len(deliveries)))
	}
}

// giveBack is release for deliveries that are to be sent later.
func (e *Engine) giveBack(deliveries []*Delivery) {
	if len(deliveries) == 0 {
		return
	}
	e.release(context.Background(), deliveries)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range deliveries {
		e.wakeAt(e.queue(Recipient{Subscription: d.Subscription}), time.Now())
	}
	e.wakeDue()
}

// Reserve says for which of the recipients memory has room for a delivery
// that is about to be committed. The others are committed without a lease.
// Offer must follow with the same recipients.
func (e *Engine) Reserve(recipients []Recipient) []bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	reserved := make([]bool, len(recipients))
	for i, to := range recipients {
		if !e.running || !e.resumed || e.held >= e.Held {
			continue
		}
		q := e.queue(to)
		q.ordered = to.Ordered
		if len(q.items)+q.reserved >= heldPerQueue || q.isBehind(now) {
			continue
		}
		q.reserved++
		e.held++
		reserved[i] = true
	}
	return reserved
}

// Offer takes over what has been committed: the delivery for each subscription
// that has reserved room, and nil for the others, which the store has; or nil
// for all, where nothing was committed.
func (e *Engine) Offer(recipients []Recipient, reserved []bool, deliveries []*Delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var late []*Delivery // for which memory has no place any more
	now := time.Now()
	for i, to := range recipients {
		q := e.queue(to)
		if reserved[i] {
			q.reserved--
			e.held--
		}
		switch committed := deliveries != nil; {
		case committed && reserved[i] && deliveries[i] != nil && e.running && !q.isBehind(now):
			e.held++
			q.items = append(q.items, deliveries[i])
		case committed && reserved[i] && deliveries[i] != nil:
			late = append(late, deliveries[i])
		case committed && !reserved[i]:
			e.wakeAt(q, now)
		}
		e.advance(q)
		e.forgetIdle(q)
	}
	if late != nil {
		go e.giveBack(late)
	}
	e.dispatch()
	e.wakeDue()
}

// Changed has a subscription's target asked for anew, and its deliveries looked
// for, after it was changed, resumed or ended.
func (e *Engine) Changed(subscription string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running {
		return
	}
	q := e.queue(Recipient{Subscription: subscription})
	q.target = nil
	q.version++
	q.paused = time.Time{}
	e.wakeAt(q, time.Now())
	e.wakeDue()
}
