package delivery

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Config is what shapes an Engine.
type Config struct {
	Node   string // this process, in leases
	Store  Store
	Client http.RoundTripper // the guarded way out
	Logger *zap.Logger

	InFlight        int           // attempts at a time; default 512
	PerSubscription int           // attempts at a time for one subscription; default 8
	Held            int           // deliveries in memory; default 8192
	HeldBytes       int           // their size; default 64 MiB
	DisableAfter    time.Duration // how long an endpoint may fail; default 5 days

	// Home reports whether this node sends a subscription's deliveries. Tell is
	// given those of other nodes that have something to send. Without them, this
	// node sends all.
	Home func(subscription string) bool
	Tell func(subscriptions []string)
}

// Engine sends deliveries. Its methods may be called at any time, also before
// Start and after Stop, when they only keep nothing in memory.
type Engine struct {
	Config
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc

	mu      sync.Mutex
	running bool
	resumed bool // whether it is known what waits in the store
	queues  map[string]*queue

	lines
	inFlight     int // attempts
	lateInFlight int // those of them to endpoints that fail

	held      int      // deliveries in memory: waiting, in flight, and not yet stored as finished
	heldBytes int      // their size
	hungry    []*queue // whose deliveries wait in the store for memory
	wakeups   wakeups
	timer     *time.Timer

	unreadable *rate.Sometimes // logs subscriptions that no key opens

	unreleased []*Delivery // whose leases could not be ended before the engine stopped

	results  chan Result
	tasks    sync.WaitGroup // workers and refills
	idle     chan work      // taken by workers that wait
	stopping chan struct{}  // closed for them to end
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
	if config.HeldBytes == 0 {
		config.HeldBytes = 64 << 20
	}
	if config.DisableAfter == 0 {
		config.DisableAfter = 5 * 24 * time.Hour
	}
	if config.Home == nil {
		config.Home = func(string) bool { return true }
	}
	if config.Tell == nil {
		config.Tell = func([]string) {}
	}
	return &Engine{Config: config, queues: make(map[string]*queue), unreadable: newUnreadable()}
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
	if err := e.releaseOld(ctx); err != nil {
		e.mu.Unlock()
		return err
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.results = make(chan Result, e.InFlight)
	e.finished = make(chan struct{})
	e.idle, e.stopping = make(chan work), make(chan struct{})
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
	if !e.running {
		return nil
	}
	for _, due := range waiting {
		if e.Home(due.Subscription) {
			e.wakeAt(e.queue(due.Recipient), due.At)
		}
	}
	e.settle()
	return nil
}

// Rebalance gives back what other nodes are to send now, and takes up what this
// one is to send.
func (e *Engine) Rebalance(ctx context.Context) error {
	var parked []*Delivery
	var away []string
	e.mu.Lock()
	for id, q := range e.queues {
		if e.Home(id) || q.isIdle() {
			continue
		}
		if len(q.items) == 0 { // else it is told when they are released
			away = append(away, id)
		}
		parked = append(parked, e.park(q)...)
		q.due = time.Time{}
		e.advance(q)
	}
	e.returnLater(parked)
	e.mu.Unlock()
	if away != nil {
		e.Tell(away)
	}
	return e.Resume(ctx)
}

// Stop ends what is under way and gives back what was not tried. Attempts that
// have begun may end, and what came of them be stored, until the context does.
func (e *Engine) Stop(ctx context.Context) {
	e.mu.Lock()
	if !e.running {
		e.mu.Unlock()
		return
	}
	e.running, e.resumed = false, false
	e.timer.Stop()
	close(e.stopping)
	e.lines, e.hungry, e.wakeups = lines{}, nil, nil
	var untried []*Delivery
	for _, q := range e.queues {
		q.line, q.place, q.hungry = nil, nil, false
		q.wakeup, q.index = time.Time{}, -1
		untried = append(untried, e.park(q)...)
	}
	e.mu.Unlock()

	ended := context.AfterFunc(ctx, e.cancel)
	defer ended()
	e.giveBack(e.ctx, untried)
	e.tasks.Wait()
	close(e.results)
	<-e.finished
	e.cancel()

	e.mu.Lock()
	defer e.mu.Unlock()
	for id, q := range e.queues {
		if q.reserved == 0 && q.returning == 0 {
			delete(e.queues, id)
			continue
		}
		// a publisher has it, still
		*q = queue{id: id, ordered: q.ordered, index: -1, heldBytes: q.heldBytes, reserved: q.reserved, returning: q.returning}
	}
}

// Look has a subscription's deliveries looked for that another node has stored.
func (e *Engine) Look(subscription string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wakeAt(e.queue(Recipient{Subscription: subscription}), time.Now())
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
	e.outdate(q)
	q.changes++
	q.forgetFailures() // what is still true of it, the store knows
	q.paused = time.Time{}
	e.wakeAt(q, time.Now())
	e.settle()
}

// AllChanged is Changed for all subscriptions that the engine has in memory.
func (e *Engine) AllChanged() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running {
		return
	}
	for _, q := range e.queues {
		e.outdate(q)
	}
}

// outdate has a queue's target asked for anew. If it is ordered, so are its
// deliveries: while it was paused, others before them may have come to wait in
// the store.
func (e *Engine) outdate(q *queue) {
	q.forgetTarget()
	if q.ordered {
		e.returnLater(e.park(q))
	}
}
