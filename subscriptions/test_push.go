package subscriptions

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// testPrefix begins the ids of events that tests send.
const testPrefix = eventPrefix + "test_"

// testView is what came of a test.
type testView struct {
	Delivered bool    `json:"delivered"`
	Status    *int    `json:"status"`
	Error     *string `json:"error"`
	Duration  int64   `json:"duration_ms"`
}

// test sends a sample to a subscription's target, also where that is paused.
func (ex *exchange) test() (*answer, error) {
	ctx, store := ex.request.Context(), ex.handler.store
	given, err := ex.readTestType()
	if err != nil {
		return nil, err
	}
	of, err := store.get(ctx, ex.owner, ex.id)
	if err != nil {
		return nil, err
	}
	if of.status == statusEnded {
		return nil, errEnded
	}
	if err := ex.mayReceive(of); err != nil {
		return nil, err
	}
	if !store.tests.Begin(of.id, time.Now()) {
		return nil, errTestRate
	}
	if !store.owners.allow(ex.owner, time.Now()) {
		return nil, errOwnerRate
	}
	target, err := store.target(ctx, of.id, anyStatus)
	if err != nil {
		return nil, err
	}
	eventType := given
	if given == "" {
		eventType = ex.handler.testType(of)
	}
	attempt, delivered := store.engine.Try(ctx, target, ex.handler.testMessage(of, eventType, time.Now()))
	if delivered && of.status == statusDisabled {
		if err := store.enable(ctx, ex.owner, of.id); err != nil {
			return nil, err
		}
	}
	return &answer{status: http.StatusOK, body: testView{
		delivered, orNil(attempt.Status), orNil(attempt.Error), milliseconds(attempt.Duration.Microseconds()),
	}}, nil
}

// readTestType reads the body, which may be left out.
func (ex *exchange) readTestType() (string, error) {
	if ex.request.ContentLength == 0 {
		if crossOrigin.Check(ex.request) != nil {
			return "", errOrigin
		}
		return "", nil
	}
	o, err := readObject(ex.request, ex.handler.MaxBody)
	if err != nil {
		return "", err
	}
	given := o.get("type")
	if given == nil {
		return "", nil
	}
	eventType, ok := text(given)
	if own, _ := operationalType(eventType); !ok || ex.handler.EventTypes[eventType] == nil && own == nil {
		return "", errTestType
	}
	return eventType, nil
}

// testType is one that the subscription is sent.
func (h *Handler) testType(of *subscription) string {
	for _, event := range of.events {
		if !strings.HasSuffix(event, "*") {
			return event
		}
	}
	types := slices.Sorted(maps.Keys(h.catalogueOf(of.resourceType)))
	for _, eventType := range types {
		if eventtype.MatchAny(of.events, eventType) {
			return eventType
		}
	}
	return types[0] // the types in its wildcards are none any more
}

func (h *Handler) testMessage(of *subscription, eventType string, now time.Time) *delivery.Message {
	event := Event{ID: testPrefix + ulid.Make().String(), Type: eventType, ResourceID: of.resourceID, Data: h.catalogueOf(of.resourceType)[eventType].example()}
	body, dataAt := event.push(now)
	return &delivery.Message{EventID: event.ID, Published: now, Body: body, DataAt: dataAt}
}

// testPace is how long after a test of a subscription the next may be made.
const testPace = time.Second
