package connector

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// The collectors are package variables so that their counts survive config
// reloads. Their labels are bounded by the config.
var (
	requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "connector",
		Name:      "requests_total",
		Help:      "Requests to known services, by class of the answer's status.",
	}, []string{"service", "status"})

	upstreamDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy",
		Subsystem: "connector",
		Name:      "upstream_duration_seconds",
		Help:      "Time until the integration's response header.",
		Buckets:   prometheus.DefBuckets,
	}, []string{"service"})

	rejectionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "connector",
		Name:      "rejections_total",
		Help:      "Requests that the edge answered itself, by the code in the answer.",
	}, []string{"reason"})

	collectors = []prometheus.Collector{requestsTotal, upstreamDuration, rejectionsTotal}

	statusClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}
)

// serviceMetrics are one service's collectors, looked up once: by its first
// request, so that ten thousand idle services are not ten thousand series.
type serviceMetrics struct {
	once     sync.Once
	requests [len(statusClasses)]prometheus.Counter
	upstream prometheus.Observer
}

func (s *Service) measured() *serviceMetrics {
	m := &s.metrics
	m.once.Do(func() {
		for i, class := range statusClasses {
			m.requests[i] = requestsTotal.WithLabelValues(s.id, class)
		}
		m.upstream = upstreamDuration.WithLabelValues(s.id)
	})
	return m
}

func (m *serviceMetrics) count(status int) {
	if class := status/100 - 1; 0 <= class && class < len(m.requests) {
		m.requests[class].Inc()
	}
}
