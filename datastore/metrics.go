package datastore

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// The collectors are package variables so that their counts survive config
// reloads.
var (
	commitSize = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy",
		Subsystem: "connector",
		Name:      "commit_size",
		Help:      "Writes that shared one commit of the embedded database.",
		Buckets:   prometheus.ExponentialBuckets(1, 2, 9),
	})

	commitDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy",
		Subsystem: "connector",
		Name:      "commit_duration_seconds",
		Help:      "Time to make a transaction durable.",
		Buckets:   prometheus.ExponentialBuckets(0.0001, 2.5, 10),
	})

	seals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "connector",
		Name:      "sealed_total",
		Help:      "Secrets that this process has sealed with a key, which wears out with 2^32 (NIST SP 800-38D, section 8.3).",
	}, []string{"key"})

	collectors = []prometheus.Collector{commitSize, commitDuration, seals, readiness{}}

	databaseReady = prometheus.NewDesc("caddy_connector_database_ready",
		"Whether the database can be used: 1 or 0.", []string{"driver"}, nil)

	running runningDatabases
)

// runningDatabases are those of the configs that are started, the latest last:
// at a reload there are two for a while, and the new one may be the one to go.
type runningDatabases struct {
	mu  sync.Mutex
	all []*DB
}

func (r *runningDatabases) add(db *DB) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, db)
}

func (r *runningDatabases) remove(db *DB) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = slices.DeleteFunc(r.all, func(other *DB) bool { return other == db })
}

// latest returns nil if no config needs a database.
func (r *runningDatabases) latest() *DB {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return nil
	}
	return r.all[len(r.all)-1]
}

// readiness says whether the running config's database can be used, if that has
// one.
type readiness struct{}

// Describe implements prometheus.Collector.
func (readiness) Describe(descs chan<- *prometheus.Desc) { descs <- databaseReady }

// Collect implements prometheus.Collector.
func (readiness) Collect(metrics chan<- prometheus.Metric) {
	db := running.latest()
	if db == nil {
		return
	}
	value := 0.0
	if db.Ready() == nil {
		value = 1
	}
	metrics <- prometheus.MustNewConstMetric(databaseReady, prometheus.GaugeValue, value, string(db.Dialect()))
}
