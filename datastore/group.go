package datastore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	groupMax   = 256                  // functions that share a commit
	groupTime  = 8 * time.Millisecond // in which the last one begins
	linger     = time.Millisecond     // to wait for those that come back from the commit before
	queueLimit = 1024
)

// errAbandoned is the outcome of a function that panicked or ended its
// goroutine.
var errAbandoned = errors.New("the function did not return")

// write is one function on its way into a group.
type write struct {
	state   atomic.Int32
	begin   chan *Tx   // its turn
	ended   chan error // what it returned
	outcome error      // of its savepoint
	done    chan error // how its group, or its turn, ended
}

const (
	waiting = iota
	begun
	left // its caller did not wait
)

// group writes for many callers: the functions that come while one commit is
// under way share the next, and so one fsync. Functions run in their callers'
// goroutines, where a panic belongs, one at a time.
type group struct {
	db    *sql.DB
	queue chan *write
	done  chan struct{} // closed when the queue is

	mu     sync.RWMutex // over closing the queue
	closed bool

	conn *writeConn
}

func newGroup(db *sql.DB) *group {
	g := &group{db: db, queue: make(chan *write, queueLimit), done: make(chan struct{})}
	go g.loop()
	return g
}

// write runs a function as part of a group, and returns when that is durable.
func (g *group) write(ctx context.Context, f func(context.Context, *Tx) error) error {
	w := &write{begin: make(chan *Tx, 1), ended: make(chan error, 1), done: make(chan error, 1)}
	if err := g.enqueue(ctx, w); err != nil {
		return err
	}
	canceled := ctx.Done()
	for {
		select {
		case tx := <-w.begin:
			w.run(context.WithoutCancel(ctx), tx, f)
			return <-w.done
		case err := <-w.done:
			return err
		case <-canceled:
			if w.state.CompareAndSwap(waiting, left) {
				return ctx.Err()
			}
			canceled = nil
		}
	}
}

func (w *write) run(ctx context.Context, tx *Tx, f func(context.Context, *Tx) error) {
	outcome := errAbandoned
	defer func() {
		tx.end()
		w.ended <- outcome
	}()
	outcome = f(ctx, tx)
	if outcome == nil && tx.failed != nil {
		outcome = afterFailure(tx.failed)
	}
}

func (g *group) enqueue(ctx context.Context, w *write) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return errClosed
	}
	select {
	case g.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close refuses further functions. What is in the queue is still carried out
// until done is closed.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		close(g.queue)
	}
}

func (g *group) loop() {
	defer close(g.done)
	expected := 1
	for first := range g.queue {
		expected = g.commit(first, expected)
	}
	g.disconnect()
}

// commit runs a group whose first function has come. It returns how many to
// expect in the next: as many as were there at once.
func (g *group) commit(first *write, expected int) int {
	if err := g.exec("BEGIN IMMEDIATE"); err != nil {
		g.disconnect()
		g.refuse(first, fmt.Errorf("beginning a transaction: %w", err))
		return 1
	}
	started := time.Now()
	patience := linger
	var ran []*write
	succeeded := 0
	var lost error
	for w := first; w != nil; w = g.next(succeeded, expected, started, &patience) {
		if !w.state.CompareAndSwap(waiting, begun) {
			continue
		}
		ran = append(ran, w)
		if lost = g.runOne(w); lost != nil {
			break // before the next is taken from the queue
		}
		if w.outcome == nil {
			succeeded++
		}
	}
	g.tell(ran, g.end(succeeded, lost), lost != nil)
	return min(succeeded+len(g.queue), groupMax)
}

// tell tells the callers of a group how it ended. Also those whose functions refused
// learn it only then: what they saw may have been another's of the group, which nobody
// can read before, and which is not so if the group fails. A group that is lost is so
// because of the last one.
func (g *group) tell(ran []*write, err error, lost bool) {
	for i, w := range ran {
		if err != nil && !(lost && i == len(ran)-1) {
			w.outcome = err
		}
		w.done <- w.outcome
	}
}

// runOne runs a function in a savepoint. It returns why the transaction of the whole
// group is lost, if it is.
func (g *group) runOne(w *write) (lost error) {
	if w.outcome = g.exec("SAVEPOINT w"); w.outcome != nil {
		return w.outcome
	}
	w.begin <- &Tx{dialect: SQLite, on: g.conn}
	if w.outcome = <-w.ended; w.outcome != nil {
		// SQLite may have rolled back everything: with a full disk it does
		if g.exec("ROLLBACK TO w") != nil || g.exec("RELEASE w") != nil {
			return w.outcome
		}
		return nil
	}
	w.outcome = g.exec("RELEASE w")
	return w.outcome
}

// next returns the function to run next, or nil if the group is to be
// committed.
func (g *group) next(size, expected int, started time.Time, patience *time.Duration) *write {
	if size >= groupMax || time.Since(started) >= groupTime {
		return nil
	}
	select {
	case w := <-g.queue: // nil when it is closed
		return w
	default:
	}
	if size == 0 || size >= expected || *patience <= 0 {
		return nil
	}
	since := time.Now()
	timer := time.NewTimer(*patience)
	defer timer.Stop()
	select {
	case w := <-g.queue:
		*patience -= time.Since(since)
		return w
	case <-timer.C:
		return nil
	}
}

// end commits what succeeded, if anything did.
func (g *group) end(succeeded int, lost error) error {
	if lost != nil {
		g.disconnect() // whatever is left of the transaction ends with it
		return fmt.Errorf("another write of the same transaction ended it: %w", lost)
	}
	if succeeded == 0 {
		if g.exec("ROLLBACK") != nil {
			g.disconnect()
		}
		return nil
	}
	started := time.Now()
	if err := g.exec("COMMIT"); err != nil {
		g.disconnect()
		return commitError(err)
	}
	commitDuration.Observe(time.Since(started).Seconds())
	commitSize.Observe(float64(succeeded))
	return nil
}

// refuse fails a function and those that wait behind it, for the same reason.
func (g *group) refuse(w *write, err error) {
	for range queueLimit {
		if w.state.CompareAndSwap(waiting, begun) {
			w.done <- err
		}
		select {
		case next, open := <-g.queue:
			if !open {
				return
			}
			w = next
		default:
			return
		}
	}
}

func (g *group) exec(query string) error {
	if g.conn == nil {
		conn, err := g.db.Conn(context.Background())
		if err != nil {
			return err
		}
		g.conn = newWriteConn(conn)
		// what a savepoint would bring back: in a file, it costs as much as the write
		if _, err := conn.ExecContext(context.Background(), "PRAGMA temp_store = MEMORY"); err != nil {
			g.disconnect()
			return err
		}
	}
	_, err := g.conn.ExecContext(context.Background(), query)
	return err
}

// disconnect has the next transaction begin on a new connection.
func (g *group) disconnect() {
	if g.conn != nil {
		g.conn.discard()
		g.conn = nil
	}
}
