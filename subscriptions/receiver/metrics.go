package receiver

import "github.com/prometheus/client_golang/prometheus"

// requests is a package variable so that its counts survive config reloads.
var requests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "caddy",
	Subsystem: "verify_webhook",
	Name:      "requests_total",
	Help:      "Requests by result: current or previous, or the code in the answer.",
}, []string{"result"})
