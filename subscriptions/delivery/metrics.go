package delivery

import "github.com/prometheus/client_golang/prometheus"

// The collectors are package variables so that their counts survive config
// reloads.
var (
	attemptsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "deliveries",
		Name:      "attempts_total",
		Help:      "Requests to subscribers, by what they came to.",
	}, []string{"outcome"})

	attemptDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy",
		Subsystem: "deliveries",
		Name:      "attempt_duration_seconds",
		Help:      "Time from sending a request to a subscriber to the end of the answer.",
		Buckets:   prometheus.ExponentialBuckets(0.001, 2.5, 11),
	})

	latency = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy",
		Subsystem: "deliveries",
		Name:      "latency_seconds",
		Help:      "Time from publishing an event, or replaying it, until a subscriber has received it.",
		Buckets:   prometheus.ExponentialBuckets(0.001, 4, 12),
	})
)

// Collectors returns the metrics of all engines of the process.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{attemptsTotal, attemptDuration, latency}
}

// observe counts an attempt.
func (v verdict) observe(d *Delivery) {
	outcome := v.attempt.Error
	switch {
	case v.ok:
		outcome = "delivered"
		latency.Observe(v.attempt.Started.Add(v.attempt.Duration).Sub(d.Since).Seconds())
	case v.gone:
		outcome = "gone"
	}
	attemptsTotal.WithLabelValues(outcome).Inc()
	attemptDuration.Observe(v.attempt.Duration.Seconds())
}
