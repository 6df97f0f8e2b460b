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
var operationalTypes = map[string]map[string]*EventType{reservedResource: subscriptionTypes, connectionResource: connectionTypes}

var subscriptionTypes = map[string]*EventType{
	exhaustedType: {
		Description: "A delivery was given up: it was tried until it was too old",
		sample: encodeData(exhaustedData{
			SubscriptionID: sampleSubscription, TargetURL: sampleTarget, DeliveryID: formatDelivery(1), EventID: sampleEvent, Attempts: 15,
			Status: 503, Error: "status",
		}),
	},
	failingType: {
		Description: "A target has failed several times in a row, or goes on failing",
		sample: encodeData(conditionData{
			SubscriptionID: sampleSubscription, TargetURL: sampleTarget, FailingSince: &sampleTime, Warning: 1, DisableAt: &sampleEnd,
			Status: 503, Error: "status",
		}),
	},
	recoveredType: {
		Description: "A target that failed has taken a delivery",
		sample: encodeData(conditionData{
			SubscriptionID: sampleSubscription, TargetURL: sampleTarget, FailingSince: &sampleTime, Status: 200,
		}),
	},
	disabledType: {
		Description: "A subscription was disabled because its target failed for too long",
		sample: encodeData(conditionData{
			SubscriptionID: sampleSubscription, TargetURL: sampleTarget, FailingSince: &sampleTime, Error: "connection_refused",
		}),
	},
	endedType: {
		Description: "A subscription has ended because its target answered 410",
		sample:      encodeData(conditionData{SubscriptionID: sampleSubscription, TargetURL: sampleTarget, Status: 410}),
	},
}

var connectionTypes = map[string]*EventType{
	"connection.created":         {Description: "A connection to an API was made", sample: connectionSample("active", "")},
	"connection.deleted":         {Description: "A connection to an API was deleted", sample: connectionSample("active", "")},
	"connection.reauth_required": {Description: "The user must connect to an API again", sample: connectionSample("reauth_required", "invalid_grant")},
	"connection.recovered":       {Description: "The user has connected to an API again", sample: connectionSample("active", "")},
}

func connectionSample(status, reason string) json.RawMessage {
	return encodeData(struct {
		ConnectionID string `json:"connection_id"`
		ConnectorID  string `json:"connector_id"`
		Name         string `json:"name"`
		Status       string `json:"status"`
		Reason       string `json:"reason,omitempty"`
	}{"00000000000000000000000000", "crm", "mine", status, reason})
}

// operationalType returns one of those types, and the type of its resource, or nil.
func operationalType(name string) (declared *EventType, resourceType string) {
	for resourceType, types := range operationalTypes {
		if types[name] != nil {
			return types[name], resourceType
		}
	}
	return nil, ""
}

// What samples of them have.
const (
	sampleSubscription = "sub_00000000000000000000000000"
	sampleTarget       = "https://hooks.example.com/in"
)

var sampleTime, sampleEnd = "2026-01-01T00:00:00Z", "2026-01-06T00:00:00Z"

func encodeData(data any) json.RawMessage {
	encoded, _ := json.Marshal(data) // texts and numbers always encode
	return encoded
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
	p := &publication{event: Event{
		ID: eventPrefix + ulid.Make().String(), Type: eventType, ResourceType: reservedResource, ResourceID: subscription,
		AccountID: owner, Data: encodeData(data(target)),
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

// maxTold is how many subscriptions get an event about another one: it is part of
// the transaction that has the result of an attempt, or of many.
const maxTold = 100

// findOperational does not let the database look for resources: `*` is that of
// the subscriptions of all owners, and an owner has a bounded number of them.
const findOperational = "SELECT " + candidateColumns + ` FROM connector_subscriptions AS s
	WHERE s.owner = $1 AND s.resource_id || '' IN ($2, '` + allResources + `') AND s.resource_type = $5
		AND s.status <> 'ended' AND (s.expires_at IS NULL OR s.expires_at > $3)
	ORDER BY s.id LIMIT $4`

// operationalFanOut finds the owner's subscriptions to such an event.
func operationalFanOut(ctx context.Context, tx *datastore.Tx, event Event) (*fanOut, error) {
	rows, err := tx.Query(ctx, findOperational, event.AccountID, event.ResourceID, micros(time.Now()), maxTold, event.ResourceType)
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
	if own := operationalTypes[resourceType]; own != nil {
		return own
	}
	return h.EventTypes
}
