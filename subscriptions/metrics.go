package subscriptions

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// The collectors are package variables so that their counts survive config
// reloads.
var (
	requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "subscriptions",
		Name:      "requests_total",
		Help:      "Requests of subscribers, by what they ask for and class of the answer's status.",
	}, []string{"operation", "status"})

	rejectionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "subscriptions",
		Name:      "rejections_total",
		Help:      "Requests of subscribers that were answered with an error, by the code in the answer.",
	}, []string{"reason"})

	resourceLookups = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "subscriptions",
		Name:      "resource_lookups_total",
		Help:      "How often an app was asked for a user's resources, by type and outcome.",
	}, []string{"resource", "outcome"})

	publishedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "publish_events",
		Name:      "events_total",
		Help:      "Events that were taken, by result: new or duplicate.",
	}, []string{"result"})

	publishedDeliveries = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "publish_events",
		Name:      "deliveries_total",
		Help:      "Deliveries that new events have.",
	})

	publishRejections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "publish_events",
		Name:      "rejections_total",
		Help:      "Requests to publish that were answered with an error, by the code in the answer.",
	}, []string{"reason"})

	collectors        = append(delivery.Collectors(), requestsTotal, rejectionsTotal, resourceLookups, prunedTotal, theBacklog)
	publishCollectors = append(delivery.Collectors(), publishedTotal, publishedDeliveries, publishRejections, prunedTotal, theBacklog)
)

// statusClass returns 2xx for 201.
func statusClass(status int) string { return strconv.Itoa(status/100) + "xx" }

func countPublished(results []Published) {
	for _, result := range results {
		if result.Duplicate {
			publishedTotal.WithLabelValues("duplicate").Inc()
			continue
		}
		publishedTotal.WithLabelValues("new").Inc()
		publishedDeliveries.Add(float64(result.Deliveries))
	}
}
