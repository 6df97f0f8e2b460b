package subscriptions

import (
	"errors"
	"net/http"
	"strings"

	"go.uber.org/zap"
)

// mayCreate checks that a subscription that was asked for is to a resource that
// the user sees. That it has expired before is told without asking the app.
func (ex *exchange) mayCreate(s *subscription) error {
	if s.expiresAt != 0 {
		now, err := ex.handler.store.db.Now(ex.request.Context())
		if err != nil {
			return err
		}
		if s.expiresAt <= now {
			return errExpiry
		}
	}
	return ex.maySee(s.resourceType, s.resourceID)
}

// mayChange checks that the user still sees the resource of a subscription that
// goes on with a change. One that is paused by it is checked when it is resumed.
func (ex *exchange) mayChange(s *subscription, c change) error {
	if c.status == statusPaused {
		return nil
	}
	if s.status == statusEnded {
		return errEnded
	}
	return ex.maySee(s.resourceType, s.resourceID)
}

// maySee checks that the user sees a resource. Nobody sees one of a type that is
// no longer in the config.
func (ex *exchange) maySee(resourceType, id string) error {
	switch resourceType {
	case reservedResource:
		return ex.mayWatch(id)
	case connectionResource:
		return nil // only their owner is told of them
	}
	resource := ex.handler.Resources[resourceType]
	if resource == nil {
		return errResourceDenied
	}
	if resource.Public {
		return nil
	}
	seen := false
	err := ex.lookUp(resource, func(c choice) bool {
		seen = c.ID == id
		return seen
	})
	if err == nil && !seen {
		err = errResourceDenied
	}
	return err
}

// mayReceive checks that the user still sees the resource of a subscription of
// theirs, before its events are shown, or sent because the user wants it. Those
// that the edge itself has to tell are about what is the user's own.
func (ex *exchange) mayReceive(s *subscription) error {
	if isReserved(s.resourceType) {
		return nil
	}
	return ex.maySee(s.resourceType, s.resourceID)
}

// mayWatch checks that a subscription, whose own events are subscribed to, is the
// user's.
func (ex *exchange) mayWatch(id string) error {
	if id == allResources {
		return nil
	}
	_, err := ex.handler.store.get(ex.request.Context(), ex.owner, id)
	if errors.Is(err, errUnknown) {
		return errResourceDenied
	}
	return err
}

// lookUp calls visit with each resource that the user sees, until that has seen
// enough.
func (ex *exchange) lookUp(resource *Resource, visit func(choice) (enough bool)) error {
	ctx := ex.request.Context()
	failed := resource.newLookup(ex.owner, ex.request).run(ctx, ex.owner, visit)
	if failed == nil {
		resourceLookups.WithLabelValues(resource.name, "ok").Inc()
		return nil
	}
	if ctx.Err() != nil {
		resourceLookups.WithLabelValues(resource.name, "client_gone").Inc()
		return ctx.Err()
	}
	resourceLookups.WithLabelValues(resource.name, strings.TrimPrefix(failed.Code, "resources_")).Inc()
	log := ex.handler.logger.Error
	if failed.Status == http.StatusForbidden {
		log = ex.handler.logger.Warn // it may be the edge that is not let in
	}
	log("looking up resources failed", zap.String("resource", resource.name), zap.String("reason", failed.Code), zap.String("error", failed.text))
	return failed.refusal
}
