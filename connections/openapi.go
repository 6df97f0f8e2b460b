package connections

import (
	_ "embed"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// describe is the one operation that needs no caller: tools load the document, and
// it has nothing but what the config says to all of them.
const describe = "describe"

const openapiPath = "/openapi.json"

// openapiDocument describes the API, and the proxy, of any config. Tests hold all
// answers to it.
//
//go:embed openapi.json
var openapiDocument []byte

// jsonObject is a part of the document.
type jsonObject = map[string]any

// describe returns the document for this handler's config, without its servers.
func (h *Handler) describe() json.RawMessage {
	var document jsonObject
	if err := json.Unmarshal(openapiDocument, &document); err != nil {
		panic(err) // it is part of the program
	}
	schemas := document["components"].(jsonObject)["schemas"].(jsonObject)
	schemas["ConnectorID"].(jsonObject)["enum"] = slices.Sorted(maps.Keys(h.APIs))
	delete(document, "servers")
	encoded, _ := json.Marshal(document) // what was decoded encodes
	return encoded
}

// showDocument answers with the document. Its server is the prefix as the client
// sees it.
func (c *call) showDocument() (*answer, error) {
	base := strings.TrimSuffix(c.written(), "/connect/v1"+openapiPath)
	if base == "" {
		base = "/"
	}
	servers, _ := json.Marshal([]jsonObject{{"url": base}}) // a text always encodes
	document := slices.Concat([]byte(`{"servers":`), servers, []byte(","), c.handler.document[1:])
	return &answer{status: http.StatusOK, body: json.RawMessage(document)}, nil
}
