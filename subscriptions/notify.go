package subscriptions

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// The nodes of a cluster tell each other, by NOTIFY, what they need not find out
// by asking the database again and again. It is only a hint: a node that was not
// there to hear it looks for itself when it is back.
const channel = "connector_subscriptions"

// What a notice is about. It goes on with the sender and ids, with spaces
// between them.
const (
	noticeWaiting = "waiting" // deliveries of these subscriptions wait
	noticeChanged = "changed" // these subscriptions have changed
	noticeNodes   = "nodes"   // a node has come or is leaving
)

// maxNotice is the longest one, in bytes: PostgreSQL takes less than 8000.
const maxNotice = 7900

// listenCheck is how often a connection that hears nothing is tried.
const listenCheck = 30 * time.Second

// notifier tells other nodes. Publishers do not wait for it: PostgreSQL has the
// commits that NOTIFY wait for each other.
type notifier struct {
	db   *datastore.DB
	node string
	wake chan struct{} // has room for one

	mu      sync.Mutex
	pending map[string]map[string]struct{} // ids, by what the notice is about
}

func newNotifier(db *datastore.DB, node string) *notifier {
	return &notifier{db: db, node: node, wake: make(chan struct{}, 1), pending: make(map[string]map[string]struct{})}
}

// tell has other nodes told soon. On a database without others it does nothing.
func (n *notifier) tell(about string, ids ...string) {
	if n.db.Dialect() != datastore.PostgreSQL {
		return
	}
	n.mu.Lock()
	if n.pending[about] == nil {
		n.pending[about] = make(map[string]struct{})
	}
	for _, id := range ids {
		n.pending[about][id] = struct{}{}
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run tells until its context ends, and then what is left.
func (n *notifier) run(ctx context.Context, logger *zap.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		if err := n.flush(ctx); err != nil && ctx.Err() == nil {
			logger.Warn("telling other nodes failed; they look for themselves later", zap.Error(err))
		}
	}
}

// flush tells what is pending.
func (n *notifier) flush(ctx context.Context) error {
	n.mu.Lock()
	pending := n.pending
	n.pending = make(map[string]map[string]struct{})
	n.mu.Unlock()
	var notices []string
	for about, ids := range pending {
		notices = append(notices, n.notices(about, slices.Sorted(maps.Keys(ids)))...)
	}
	if notices == nil {
		return nil
	}
	return n.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		for _, notice := range notices {
			if _, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", channel, notice); err != nil {
				return err
			}
		}
		return nil
	})
}

// notices are texts that are short enough.
func (n *notifier) notices(about string, ids []string) (notices []string) {
	head := about + " " + n.node
	notice := head
	for _, id := range ids {
		if len(notice)+1+len(id) > maxNotice {
			notices = append(notices, notice)
			notice = head
		}
		notice += " " + id
	}
	return append(notices, notice)
}

// listener hears what other nodes tell.
type listener struct {
	db      *datastore.DB
	cluster *cluster
	engine  *delivery.Engine
	nodes   func() // looks which nodes there are
}

// run listens until its context ends.
func (l *listener) run(ctx context.Context) {
	for wait := time.Second; ctx.Err() == nil; {
		err := l.db.Postgres(ctx, func(conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
				return err
			}
			wait = time.Second
			defer l.cluster.session.Store(false)
			if err := l.beSeen(ctx, conn); err != nil {
				return err
			}
			if err := l.catchUp(ctx); err != nil {
				return err
			}
			return l.hear(ctx, conn)
		})
		if ctx.Err() == nil {
			l.engine.Logger.Warn("listening to other nodes failed; trying again", zap.Error(err), zap.Duration("after", wait))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// beSeen has other nodes see that this session lasts. If the database has not
// noticed yet that the one before is over, that comes later.
func (l *listener) beSeen(ctx context.Context, conn *pgx.Conn) error {
	if l.cluster.session.Load() {
		return conn.Ping(ctx)
	}
	var locked bool
	err := conn.QueryRow(ctx, lockSession, l.cluster.node).Scan(&locked)
	l.cluster.session.Store(locked)
	return err
}

// catchUp looks for what may have been told when nobody listened.
func (l *listener) catchUp(ctx context.Context) error {
	l.nodes()
	l.engine.AllChanged()
	return l.engine.Resume(ctx)
}

func (l *listener) hear(ctx context.Context, conn *pgx.Conn) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		notification, err := conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			l.take(notification.Payload)
		case !quiet:
			return err
		}
		if quiet || !l.cluster.session.Load() {
			if err := l.beSeen(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// take does what a notice says.
func (l *listener) take(notice string) {
	words := strings.Fields(notice)
	if len(words) < 2 || words[1] == l.cluster.node {
		return
	}
	for _, id := range words[2:] {
		switch words[0] {
		case noticeWaiting:
			l.engine.Look(id)
		case noticeChanged:
			l.engine.Changed(id)
		}
	}
	if words[0] == noticeNodes {
		l.nodes()
	}
}
