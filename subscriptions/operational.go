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
// the owner of a subscription. Who wants them subscribes to the resource type
// `subscription`, with the id of a subscription of theirs, or `*` for all.
var operationalTypes = map[string]*EventType{
	exhaustedType: {}, failingType: {}, recoveredType: {}, disabledType: {}, endedType: {},
}

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
	case err != nil || kind == reservedResource:
		return err
	}
	encoded, _ := json.Marshal(data(target)) // texts and numbers always encode
	p := &publication{event: Event{
		ID: eventPrefix + ulid.Make().String(), Type: eventType, ResourceType: reservedResource, ResourceID: subscription,
		AccountID: owner, Data: encoded,
	}}
	found, err := operationalFanOut(ctx, tx, p.event)
	if err != nil {
		return err
	}
	if err := found.match(p); err != nil || len(p.matching) == 0 {
		return err
	}
	*a = append(*a, p)
	return s.writeBatch(ctx, tx, []*publication{p})
}

// findOperational does not let the database look for resources: `*` is that of
// the subscriptions of all owners, and an owner has a bounded number of them.
const findOperational = "SELECT " + candidateColumns + ` FROM connector_subscriptions AS s
	WHERE s.owner = $1 AND s.resource_id || '' IN ($2, '` + allResources + `') AND s.resource_type = '` + reservedResource + `'
		AND s.status <> 'ended' AND (s.expires_at IS NULL OR s.expires_at > $3)`

// operationalFanOut finds the owner's subscriptions to such an event.
func operationalFanOut(ctx context.Context, tx *datastore.Tx, event Event) (*fanOut, error) {
	rows, err := tx.Query(ctx, findOperational, event.AccountID, event.ResourceID, micros(time.Now()))
	found, err := datastore.Collect(rows, err, func(row datastore.Scanner) (candidate, error) { return scanCandidate(row) })
	return &fanOut{numbers: map[interest]int{event.interest(): 0}, found: [][]candidate{found}, complete: 1}, err
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
	if resourceType == reservedResource {
		return operationalTypes
	}
	return h.EventTypes
}
