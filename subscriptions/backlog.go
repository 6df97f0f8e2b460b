package subscriptions

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/f737063d/caddy-connector/datastore"
)

const (
	backlogAge     = 15 * time.Second // for which what was counted serves all scrapes
	backlogTimeout = 2 * time.Second
)

var (
	pendingDeliveries = prometheus.NewDesc("caddy_deliveries_pending",
		"Deliveries in the database that are neither delivered nor given up.", nil, nil)
	oldestDue = prometheus.NewDesc("caddy_deliveries_oldest_due_seconds",
		"For how long the oldest delivery to an active subscription has been due: 0 if none is.", nil, nil)
	inFlightDeliveries = prometheus.NewDesc("caddy_deliveries_in_flight",
		"Requests to subscribers that are under way on this node.", nil, nil)
	heldDeliveries = prometheus.NewDesc("caddy_deliveries_held",
		"Deliveries that this node has in memory.", nil, nil)
)

// theBacklog is of the process: a load's registry takes one of each metric.
var theBacklog = new(backlog)

// backlog tells what there is to be sent. It asks the database when somebody
// wants to know, not more often than every 15 seconds; what takes too long to
// count is left out.
type backlog struct {
	mu      sync.Mutex // over counting: scrapes at the same time wait for one of them
	db      string     // that was counted
	at      time.Time
	counted waiting
	err     error
}

// waiting is what there is to be sent.
type waiting struct {
	pending int64
	due     int64 // since when the oldest is due, of those that may be sent; 0 for none
	now     int64 // by the database's clock
}

// Describe implements prometheus.Collector.
func (*backlog) Describe(descs chan<- *prometheus.Desc) {
	descs <- pendingDeliveries
	descs <- oldestDue
	descs <- inFlightDeliveries
	descs <- heldDeliveries
}

// Collect implements prometheus.Collector.
func (b *backlog) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	var inFlight, held int
	engines.Range(func(_, shared any) bool {
		stats := shared.(*sharedEngine).Stats()
		inFlight, held = inFlight+stats.InFlight, held+stats.Held
		return true
	})
	gauge(inFlightDeliveries, float64(inFlight))
	gauge(heldDeliveries, float64(held))
	db := datastore.Running()
	if db == nil || db.Ready() != nil {
		return
	}
	if counted, err := b.count(db); err == nil {
		gauge(pendingDeliveries, float64(counted.pending))
		gauge(oldestDue, counted.overdue().Seconds())
	}
}

// count returns what was counted lately.
func (b *backlog) count(db *datastore.DB) (waiting, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.db == db.Key() && time.Since(b.at) < backlogAge {
		return b.counted, b.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	b.counted, b.err = countWaiting(ctx, db)
	b.db, b.at = db.Key(), time.Now()
	return b.counted, b.err
}

// overdue returns for how long the oldest is due.
func (w waiting) overdue() time.Duration {
	if w.due == 0 || w.due > w.now {
		return 0
	}
	return time.Duration(w.now-w.due) * time.Microsecond
}

// The two partial indexes are the pending deliveries, and nothing else: what is
// finished costs these queries nothing. That of the free ones has all that is
// asked for. The leased ones are looked up, but no node has many.
//
// What waits for a subscription that is paused or has ended is not overdue.
const (
	countFree = `SELECT CAST(sum(w.n) AS BIGINT), min(CASE WHEN s.status = 'active' AND (s.expires_at IS NULL OR s.expires_at > $1) THEN w.due END)
		FROM (SELECT subscription_id, count(*) AS n, min(due) AS due FROM connector_deliveries
			WHERE state = 0 AND node IS NULL GROUP BY subscription_id) AS w
		LEFT JOIN connector_subscriptions AS s ON s.id = w.subscription_id`
	countLeased = "SELECT count(*), min(due) FROM connector_deliveries WHERE state = 0 AND node IS NOT NULL"
)

func countWaiting(ctx context.Context, db *datastore.DB) (w waiting, err error) {
	if w.now, err = db.Now(ctx); err != nil {
		return w, err
	}
	var free, freeDue, leased, leasedDue sql.NullInt64
	if err := db.QueryRow(ctx, countFree, w.now).Scan(&free, &freeDue); err != nil {
		return w, err
	}
	if err := db.QueryRow(ctx, countLeased).Scan(&leased, &leasedDue); err != nil {
		return w, err
	}
	w.pending = free.Int64 + leased.Int64
	w.due = freeDue.Int64
	if leasedDue.Valid && (!freeDue.Valid || leasedDue.Int64 < w.due) {
		w.due = leasedDue.Int64
	}
	return w, nil
}
