package connections

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// The collectors are package variables so that their counts survive config
// reloads.
var (
	requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "connections",
		Name:      "requests_total",
		Help:      "Requests to APIs, by API and class of the answer's status.",
	}, []string{"api", "status"})

	upstreamDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy",
		Subsystem: "connections",
		Name:      "upstream_duration_seconds",
		Help:      "Time until an API's response header, retries included.",
		Buckets:   prometheus.ExponentialBuckets(0.001, 2.5, 12),
	}, []string{"api"})

	retriesTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "connections",
		Name:      "retries_total",
		Help:      "Attempts after the first, by API.",
	}, []string{"api"})

	rejectionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "connections",
		Name:      "rejections_total",
		Help:      "Requests that the edge answered itself, by the code in the answer.",
	}, []string{"reason"})

	managedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "connections",
		Name:      "api_requests_total",
		Help:      "Requests to the API of connections, by what they ask for and class of the answer's status.",
	}, []string{"operation", "status"})

	collectors = []prometheus.Collector{managedTotal, requestsTotal, upstreamDuration, retriesTotal, rejectionsTotal}
)

// measured are an API's own metrics.
type measured struct {
	byClass  [6]prometheus.Counter // by the first digit of the status
	upstream prometheus.Observer
	retries  prometheus.Counter
}

func measure(api string) (m measured) {
	for class := range m.byClass {
		m.byClass[class] = requestsTotal.WithLabelValues(api, statusClass(100*class))
	}
	m.upstream, m.retries = upstreamDuration.WithLabelValues(api), retriesTotal.WithLabelValues(api)
	return m
}

// count counts a request, if it is known which API it is for.
func (a *API) count(status int) {
	if a == nil {
		return
	}
	if class := status / 100; class > 0 && class < len(a.measured.byClass) {
		a.measured.byClass[class].Inc()
	}
}

// statusClass is how metrics tell statuses apart.
func statusClass(status int) string { return strconv.Itoa(status/100) + "xx" }
