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
	Type         string          `json:"type"`
	ResourceType string          `json:"resource_type,omitempty"` // of the edge's own; "" for all that the platform has
	Description  string          `json:"description"`
	Schema       json.RawMessage `json:"schema,omitempty"`
	Sample       json.RawMessage `json:"sample,omitempty"`
}

func (ex *exchange) listTypes() (*answer, error) {
	list := struct {
		Data []typeView `json:"data"`
	}{Data: make([]typeView, 0, len(ex.handler.EventTypes))}
	for _, resourceType := range []string{"", connectionResource, reservedResource} { // the platform's, and the edge's own
		types := ex.handler.catalogueOf(resourceType)
		for _, name := range slices.Sorted(maps.Keys(types)) {
			declared := types[name]
			list.Data = append(list.Data, typeView{name, resourceType, declared.Description, declared.schema, declared.sample})
		}
	}
	return &answer{status: http.StatusOK, body: list}, nil
}

// showSample answers an array: automation platforms that set up a trigger ask
// for a list of what it would have had.
func (ex *exchange) showSample() (*answer, error) {
	example := Event{ID: sampleEvent, Type: ex.params["type"], ResourceID: sampleResource}
	declared := ex.handler.EventTypes[example.Type]
	if declared == nil {
		declared, example.ResourceType = operationalType(example.Type)
	}
	if declared == nil {
		return nil, errTypeUnknown
	}
	example.Data = declared.example()
	body, _ := example.push(time.Now())
	return &answer{status: http.StatusOK, body: []json.RawMessage{body}}, nil
}

// example returns an example of the data of events of a type.
func (t *EventType) example() json.RawMessage {
	if t != nil && t.sample != nil {
		return t.sample
	}
	return json.RawMessage("{}")
}
