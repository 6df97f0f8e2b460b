package subscriptions

import (
	"encoding/json"
	"time"
)

// Event is what a platform publishes.
type Event struct {
	ID           string
	Type         string // as in the catalogue, such as task.create
	ResourceType string // "" for any
	ResourceID   string
	AccountID    string          // the one owner whose subscriptions receive it; "" for all
	Data         json.RawMessage // a JSON object, sent byte for byte

	Traceparent string // the W3C trace context in which it was published; "" for none
}

// Published is what came of publishing an event.
type Published struct {
	ID         string `json:"id"`
	Duplicate  bool   `json:"duplicate"` // it was published before, and nothing is sent again
	Deliveries int    `json:"deliveries"`
}

// push returns the body that subscribers get, and where its data begins.
func (e Event) push(at time.Time) (body []byte, dataAt int) {
	body, _ = json.Marshal(struct { // strings and valid JSON always encode
		ID           string `json:"id"`
		Type         string `json:"type"`
		Timestamp    string `json:"timestamp"`
		ResourceType string `json:"resource_type,omitempty"`
		ResourceID   string `json:"resource_id"`
		AccountID    string `json:"account_id,omitempty"`
	}{e.ID, e.Type, at.UTC().Format(time.RFC3339Nano), e.ResourceType, e.ResourceID, e.AccountID})
	// Marshal would compact the data
	body = append(body[:len(body)-1], `,"data":`...)
	dataAt = len(body)
	body = append(body, e.Data...)
	return append(body, '}'), dataAt
}

// micros is a time as the database has it.
func micros(t time.Time) int64 { return t.UnixMicro() }
