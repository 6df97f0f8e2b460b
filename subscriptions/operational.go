package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// operationalTypes are the types of the events that the edge itself has to tell
// owners, by the type of the resource. Who wants those of subscriptions subscribes
// to the resource type `subscription`, with the id of a subscription of theirs, or
// `*` for all; those of connections are published by the package that keeps them.
var operationalTypes = map[string]map[string]*EventType{
	reservedResource:   {exhaustedType: {}, failingType: {}, recoveredType: {}, disabledType: {}, endedType: {}},
	connectionResource: {"connection.created": {}, "connection.deleted": {}, "connection.reauth_required": {}, "connection.recovered": {}},
}

// isReserved reports whether events of a resource of the type are the edge's own.
func isReserved(resourceType string) bool { return operationalTypes[resourceType] != nil }

const (
	exhaustedType = "delivery.exhausted"
	failingType   = "subscription.failing"
	recoveredType = "subscription.recovered"
	disabledType  = "subscription.disabled"
	endedType     = "subscription.ended"
)

// conditionTypes are the events for what becomes of an endpoint.
var conditionTypes = map[delivery.Health]string{
	delivery.Failing: failingType, delivery.Recovered: recoveredType, delivery.Disabled: disabledType, delivery.Gone: endedType,
}

// conditionData is the data of such an event.
type conditionData struct {
	SubscriptionID string  `json:"subscription_id"`
	TargetURL      string  `json:"target_url"`
	FailingSince   *string `json:"failing_since,omitempty"`
	Warning        int     `json:"warning,omitempty"` // 1 to 3
	DisableAt      *string `json:"disable_at,omitempty"`
	Status         int     `json:"status,omitempty"` // of the last attempt's answer
	Error          string  `json:"error,omitempty"`  // of the last attempt
}

// exhaustedData is the data of delivery.exhausted.
type exhaustedData struct {
	SubscriptionID string `json:"subscription_id"`
	TargetURL      string `json:"target_url"`
	DeliveryID     string `json:"delivery_id"`
	EventID        string `json:"event_id"`
	Attempts       int    `json:"attempts"`
	Status         int    `json:"status,omitempty"`
	Error          string `json:"error,omitempty"`
}

func conditionOf(id, target string, c delivery.Condition) conditionData {
	return conditionData{
		SubscriptionID: id, TargetURL: target, FailingSince: stamp(c.Since), Warning: c.Warnings, DisableAt: stamp(c.DisableAt),
		Status: c.Status, Error: c.Error,
	}
}

// stamp is a time as events have it, or nil where there is none.
func stamp(at time.Time) *string {
	if at.IsZero() {
		return nil
	}
	text := formatTime(micros(at))
	return &text
}

// announcements are events about subscriptions that are published in the
// transaction that they are about.
type announcements []*publication

// add publishes an event to the owner of a subscription. What concerns a
// subscription to such events is not told: it could go on for ever.
func (a *announcements) add(ctx context.Context, tx *datastore.Tx, s *Store, eventType, subscription string, data func(target string) any) error {
	var owner, target, kind string
	err := tx.QueryRow(ctx, "SELECT owner, target_url, resource_type FROM connector_subscriptions WHERE id = $1", subscription).
		Scan(&owner, &target, &kind)
	switch {
	case errors.Is(err, sql.ErrNoRows): // it was deleted
		return nil
	case err != nil || isReserved(kind):
		return err
	}
	encoded, _ := json.Marshal(data(target)) // texts and numbers always encode
	p := &publication{event: Event{
		ID: eventPrefix + ulid.Make().String(), Type: eventType, ResourceType: reservedResource, ResourceID: subscription,
		AccountID: owner, Data: encoded,
	}}
	if err := match(ctx, tx, tx.Dialect(), []*publication{p}); err != nil || len(p.matching) == 0 {
		return err
	}
	*a = append(*a, p)
	return s.writeBatch(ctx, tx, []*publication{p})
}

// settle hands over what was committed, or gives back the room reserved for it.
func (a *announcements) settle(engine *delivery.Engine, committed bool) {
	for _, p := range *a {
		p.settle(engine, committed)
	}
	*a = nil
}

// catalogueOf returns the types of events that a resource of a type has.
func (h *Handler) catalogueOf(resourceType string) map[string]*EventType {
	if own := operationalTypes[resourceType]; own != nil {
		return own
	}
	return h.EventTypes
}
