package subscriptions

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// deliveryPrefix begins the ids of deliveries.
const deliveryPrefix = "dlv_"

func formatDelivery(id int64) string { return deliveryPrefix + strconv.FormatInt(id, 10) }

func parseDelivery(text string) (int64, bool) {
	id, err := strconv.ParseInt(strings.TrimPrefix(text, deliveryPrefix), 10, 64)
	return id, err == nil && id > 0 && formatDelivery(id) == text
}

var stateNames = [...]string{
	delivery.Pending: "pending", delivery.Delivered: "delivered", delivery.Dead: "dead", delivery.Cancelled: "cancelled",
}

var allStates = []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead, delivery.Cancelled}

// parseStates reads names of states; each may be there several times.
func parseStates(names []string) (states []delivery.State, ok bool) {
	for _, name := range names {
		state := slices.Index(stateNames[:], name)
		if state < 0 {
			return nil, false
		}
		states = append(states, delivery.State(state))
	}
	slices.Sort(states)
	return slices.Compact(states), len(states) > 0
}

// deliveryView is a delivery as the owner of its subscription sees it.
type deliveryView struct {
	ID             string       `json:"id"`
	SubscriptionID string       `json:"subscription_id"`
	EventID        string       `json:"event_id"`
	EventType      string       `json:"event_type"`
	State          string       `json:"state"`
	Attempts       int          `json:"attempts"`
	NextAttemptAt  *string      `json:"next_attempt_at"`
	CreatedAt      string       `json:"created_at"`
	LastAttempt    *attemptView `json:"last_attempt"`
}

// attemptView is an attempt as an owner sees it. The answer's text is not for
// them: where the target was one that they cannot reach themselves, it would
// have them read there.
type attemptView struct {
	Number    int     `json:"number"`
	StartedAt string  `json:"started_at"`
	Duration  int64   `json:"duration_ms"`
	Status    *int    `json:"status"`
	Error     *string `json:"error"`
}

func (d *deliveryRow) view() deliveryView {
	v := deliveryView{
		ID: formatDelivery(d.id), SubscriptionID: d.subscription, EventID: d.eventID, EventType: d.eventType,
		State: stateNames[d.state], Attempts: d.attempts, CreatedAt: formatTime(d.published),
	}
	if d.state == delivery.Pending && d.status == statusActive {
		due := formatTime(d.due)
		v.NextAttemptAt = &due
	}
	if d.last.number != 0 {
		last := d.last.view()
		v.LastAttempt = &last
	}
	return v
}

func (a attemptRow) view() attemptView {
	v := attemptView{Number: a.number, StartedAt: formatTime(a.started), Duration: milliseconds(a.duration)}
	v.Status, v.Error = orNil(a.status), orNil(a.error)
	return v
}

func milliseconds(micros int64) int64 {
	return int64(math.Round(float64(micros) / 1000))
}

// orNil has what is not there be null in JSON.
func orNil[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}

func (ex *exchange) listDeliveries() (*answer, error) {
	ctx, store := ex.request.Context(), ex.handler.store
	l, err := parseListing(ex.request.URL.Query())
	if err != nil {
		return nil, err
	}
	of, err := store.get(ctx, ex.owner, ex.id)
	if err != nil {
		return nil, err
	}
	l.subscription = of.id
	found, next, err := store.deliveries(ctx, l)
	if err != nil {
		return nil, err
	}
	page := struct {
		Data       []deliveryView `json:"data"`
		NextCursor *string        `json:"next_cursor"`
	}{Data: make([]deliveryView, len(found))}
	for i, d := range found {
		d.status = of.status
		page.Data[i] = d.view()
	}
	if next != 0 {
		cursor := formatDelivery(next)
		page.NextCursor = &cursor
	}
	return &answer{status: http.StatusOK, body: page}, nil
}

// parseListing reads the query of a list of deliveries.
func parseListing(query url.Values) (l listing, err error) {
	if l.limit, err = parseLimit(query); err != nil {
		return l, err
	}
	var ok bool
	l.before = math.MaxInt64
	if cursor := query.Get("cursor"); cursor != "" {
		if l.before, ok = parseDelivery(cursor); !ok {
			return l, errCursor
		}
	}
	l.states = allStates
	if query.Has("state") {
		if l.states, ok = parseStates(strings.Split(strings.Join(query["state"], ","), ",")); !ok {
			return l, errState
		}
	}
	l.since, l.until = always, never
	if query.Has("since") {
		if l.since, ok = parseMoment(query.Get("since")); !ok {
			return l, errSince
		}
	}
	if query.Has("until") {
		if l.until, ok = parseMoment(query.Get("until")); !ok {
			return l, errUntil
		}
	}
	l.eventType = query.Get("event_type")
	if query.Has("event_type") && !eventtype.Valid(l.eventType) {
		return l, errTypeQuery
	}
	return l, nil
}

// parseMoment reads a time, also one before 1970.
func parseMoment(text string) (int64, bool) {
	at, err := time.Parse(time.RFC3339, text)
	return micros(at), err == nil
}

func (ex *exchange) getDelivery() (*answer, error) {
	ctx, store := ex.request.Context(), ex.handler.store
	d, err := ex.visibleDelivery()
	if err != nil {
		return nil, err
	}
	attempts, err := store.attempts(ctx, d.id)
	if err != nil {
		return nil, err
	}
	payload, err := store.payload(ctx, d)
	if err != nil {
		return nil, err
	}
	shown := struct {
		deliveryView
		AttemptList []attemptView   `json:"attempt_list"`
		Payload     json.RawMessage `json:"payload"` // null where the event is not kept any more
	}{d.view(), make([]attemptView, len(attempts)), payload}
	for i, a := range attempts {
		shown.AttemptList[i] = a.view()
	}
	return &answer{status: http.StatusOK, body: shown}, nil
}

// delivery returns the one that the path names.
func (ex *exchange) delivery() (*deliveryRow, error) {
	id, ok := parseDelivery(ex.params["delivery"])
	if !ok {
		return nil, errDelivery
	}
	d, err := ex.handler.store.delivery(ex.request.Context(), ex.owner, id)
	if err != nil {
		return nil, err
	}
	ex.id = d.subscription // for logs
	return d, nil
}

// visibleDelivery is delivery for what shows or sends what happened to the
// resource.
func (ex *exchange) visibleDelivery() (*deliveryRow, error) {
	d, err := ex.delivery()
	if err != nil {
		return nil, err
	}
	of, err := ex.handler.store.get(ex.request.Context(), ex.owner, d.subscription)
	if err != nil {
		return nil, err
	}
	return d, ex.mayReceive(of)
}

func (ex *exchange) retry() (*answer, error) {
	d, err := ex.visibleDelivery()
	if err != nil {
		return nil, err
	}
	if err := ex.handler.store.retry(ex.request.Context(), d); err != nil {
		return nil, err
	}
	if d, err = ex.delivery(); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusAccepted, body: d.view()}, nil
}
