package anychannel

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// The collectors are package variables so that their counts survive config
// reloads. Their labels are bounded by the config.
var (
	requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "any_channel",
		Name:      "requests_total",
		Help:      "Requests that were sent to an integration service, by class of the answer's status.",
	}, []string{"integration", "status"})

	serviceDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy",
		Subsystem: "any_channel",
		Name:      "service_duration_seconds",
		Help:      "Time until the integration service's whole answer.",
		Buckets:   prometheus.DefBuckets,
	}, []string{"integration"})

	rejectionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "any_channel",
		Name:      "rejections_total",
		Help:      "Requests that the edge answered itself, by reason.",
	}, []string{"reason"})

	manifestFetches = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "any_channel",
		Name:      "manifest_fetches_total",
		Help:      "Fetches of an integration's manifest, by result: ok, invalid or failed.",
	}, []string{"integration", "result"})

	manifestTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "caddy",
		Subsystem: "any_channel",
		Name:      "manifest_timestamp_seconds",
		Help:      "When an integration's manifest was last found good, in Unix time.",
	}, []string{"integration"})

	collectors = []prometheus.Collector{requestsTotal, serviceDuration, rejectionsTotal, manifestFetches, manifestTime}

	statusClasses = [...]string{"2xx", "4xx", "5xx"}
)

// integrationMetrics are one integration's collectors, looked up once.
type integrationMetrics struct {
	name     string
	once     sync.Once
	requests map[int]prometheus.Counter // by the status's first digit
	duration prometheus.Observer
}

func (m *integrationMetrics) count(status int, seconds float64) {
	m.once.Do(func() {
		m.requests = make(map[int]prometheus.Counter)
		for _, class := range statusClasses {
			m.requests[int(class[0]-'0')] = requestsTotal.WithLabelValues(m.name, class)
		}
		m.duration = serviceDuration.WithLabelValues(m.name)
	})
	m.requests[status/100].Inc()
	if seconds > 0 {
		m.duration.Observe(seconds)
	}
}
