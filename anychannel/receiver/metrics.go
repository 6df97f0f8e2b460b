package receiver

import "github.com/prometheus/client_golang/prometheus"

// requests is a package variable so that its counts survive config reloads.
var requests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "caddy",
	Subsystem: "any_channel_service",
	Name:      "requests_total",
	Help:      "Requests by result: ok, or the code in the answer.",
}, []string{"result"})
