// Package metrics registers collectors so that they outlive config reloads.
package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds collectors to the registry of one config load. Caddy makes a
// new registry for each load, so collectors that are package variables keep
// their counts across reloads when every load registers them again; a second
// module of the same load finds them registered, which is no error.
func Register(reg *prometheus.Registry, collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := reg.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
