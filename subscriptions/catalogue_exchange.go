package subscriptions

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"
)

// What an event of a sample is about.
const (
	sampleEvent    = eventPrefix + "00000000000000000000000000"
	sampleResource = "sample"
)

// typeView is a type of events as subscribers see it.
type typeView struct {
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Sample      json.RawMessage `json:"sample,omitempty"`
}

func (ex *exchange) listTypes() (*answer, error) {
	types := ex.handler.EventTypes
	list := struct {
		Data []typeView `json:"data"`
	}{Data: make([]typeView, 0, len(types))}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		declared := types[name]
		list.Data = append(list.Data, typeView{name, declared.Description, declared.schema, declared.sample})
	}
	return &answer{status: http.StatusOK, body: list}, nil
}

// showSample answers an array: automation platforms that set up a trigger ask
// for a list of what it would have had.
func (ex *exchange) showSample() (*answer, error) {
	eventType := ex.params["type"]
	if ex.handler.EventTypes[eventType] == nil {
		return nil, errTypeUnknown
	}
	example := Event{ID: sampleEvent, Type: eventType, ResourceID: sampleResource, Data: ex.handler.sample(eventType)}
	body, _ := example.push(time.Now())
	return &answer{status: http.StatusOK, body: []json.RawMessage{body}}, nil
}

// sample returns an example of the data of events of a type.
func (h *Handler) sample(eventType string) json.RawMessage {
	if declared := h.EventTypes[eventType]; declared != nil && declared.sample != nil {
		return declared.sample
	}
	return json.RawMessage("{}")
}
