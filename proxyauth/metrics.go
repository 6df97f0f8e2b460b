package proxyauth

import "github.com/prometheus/client_golang/prometheus"

// requests is a package variable so that its counts survive config reloads.
var requests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "caddy",
	Subsystem: "proxy_secret",
	Name:      "requests_total",
	Help:      "Requests by the result of the check of their proof.",
}, []string{"result"})
