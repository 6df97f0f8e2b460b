package subscriptions

import (
	_ "embed"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// describe is the one operation that needs no user: tools load the document, and
// it has nothing but what the config says to all users.
const describe = "describe"

const openapiPath = "/openapi.json"

// anyEvent is the webhook of which those of the config are made.
const anyEvent = "event"

// openapiDocument describes the API of any config. Tests hold all answers to it.
//
//go:embed openapi.json
var openapiDocument []byte

// jsonObject is a part of the document.
type jsonObject = map[string]any

// describe returns the document for this handler's config, without its servers.
func (h *Handler) describe() json.RawMessage {
	document := decodeDocument()
	schemas := document["components"].(jsonObject)["schemas"].(jsonObject)
	types := slices.Collect(maps.Keys(h.EventTypes))
	for _, own := range operationalTypes {
		types = slices.AppendSeq(types, maps.Keys(own))
	}
	slices.Sort(types)
	schemas["EventType"].(jsonObject)["enum"] = slices.Compact(types)
	schemas["ResourceType"].(jsonObject)["enum"] = slices.Sorted(maps.Keys(h.Resources))
	webhooks := document["webhooks"].(jsonObject) // it has those that the edge itself sends
	delete(webhooks, anyEvent)
	for name, declared := range h.EventTypes {
		webhooks[name] = webhook(name, declared)
	}
	delete(document, "servers")
	encoded, _ := json.Marshal(document) // what was decoded encodes
	return encoded
}

func decodeDocument() jsonObject {
	var document jsonObject
	if err := json.Unmarshal(openapiDocument, &document); err != nil {
		panic(err) // it is part of the program
	}
	return document
}

// webhook describes what is sent for events of a type.
func webhook(name string, declared *EventType) any {
	sent := decodeDocument()["webhooks"].(jsonObject)[anyEvent].(jsonObject)
	post := sent["post"].(jsonObject)
	post["summary"] = name
	if declared.Description != "" {
		post["summary"] = declared.Description
	}
	members := jsonObject{"type": jsonObject{"const": name}}
	if declared.schema != nil {
		members["data"] = embedded(name, declared.schema)
	}
	body := post["requestBody"].(jsonObject)["content"].(jsonObject)["application/json"].(jsonObject)
	body["schema"] = jsonObject{"allOf": []any{body["schema"], jsonObject{"properties": members}}}
	if declared.sample != nil {
		body["example"] = jsonObject{
			"id": sampleEvent, "type": name, "timestamp": "2026-01-01T00:00:00Z", "resource_id": sampleResource, "data": declared.sample,
		}
	}
	return sent
}

// embedded is a schema as part of another document: with an id of its own, its
// references still lead into itself.
func embedded(name string, schema json.RawMessage) any {
	var decoded any
	_ = json.Unmarshal(schema, &decoded) // it was compiled
	if keywords, ok := decoded.(jsonObject); ok && keywords["$id"] == nil {
		keywords["$id"] = "urn:event-type:" + name
	}
	return decoded
}

// showDocument answers with the document. Its server is the prefix as the client
// sees it.
func (ex *exchange) showDocument() (*answer, error) {
	base := strings.TrimSuffix(ex.written(openapiPath), openapiPath)
	if base == "" {
		base = "/"
	}
	servers, _ := json.Marshal([]jsonObject{{"url": base}}) // a string always encodes
	document := slices.Concat([]byte(`{"servers":`), servers, []byte(","), ex.handler.document[1:])
	return &answer{status: http.StatusOK, body: json.RawMessage(document)}, nil
}
