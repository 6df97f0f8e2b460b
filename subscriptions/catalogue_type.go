package subscriptions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/f737063d/caddy-connector/internal/configfile"
)

// maxCatalogueFile is the largest file of the catalogue, in bytes.
const maxCatalogueFile = 256 << 10

// EventType is a type of events in the catalogue. Paths of files are relative to
// the working directory; the files are read when the config is loaded, and may
// have 256 KiB.
type EventType struct {
	// What it means that such an event has happened, for subscribers to read.
	Description string `json:"description,omitempty"`

	// The file with the JSON Schema (2020-12) of the data. What is published with
	// other data is answered 422. A `$ref` can only be to the same file; `format`
	// is not checked. By default, data is any object.
	Schema string `json:"schema,omitempty"`

	// The file with an example of the data, a JSON object that satisfies the
	// schema. By default, it is made of the `examples` and `default` in the schema.
	Sample string `json:"sample,omitempty"`

	schema   json.RawMessage // nil where there is none
	compiled *jsonschema.Schema
	sample   json.RawMessage // nil where there is none
}

// provisionEventTypes reads the files of the catalogue.
func (h *Handler) provisionEventTypes() error {
	for name, declared := range h.EventTypes {
		if declared == nil {
			return fmt.Errorf("event type '%s' is null", name)
		}
		if err := declared.provision(name); err != nil {
			return fmt.Errorf("event type '%s': %w", name, err)
		}
	}
	return nil
}

func (t *EventType) provision(name string) (err error) {
	if t.Schema != "" {
		if t.schema, err = readJSON(t.Schema); err == nil {
			t.compiled, err = compileSchema(name, t.schema)
		}
		if err != nil {
			return fmt.Errorf("schema: %w", err)
		}
		t.sample = exampleOf(t.schema)
	}
	if t.Sample == "" {
		return nil
	}
	if t.sample, err = readJSON(t.Sample); err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	if !isObject(t.sample) {
		return fmt.Errorf("sample: %s is not a JSON object", t.Sample)
	}
	if wrong := t.check(t.sample); wrong != nil {
		return fmt.Errorf("sample: %s: %s", t.Sample, wrong.Message)
	}
	return nil
}

// readJSON reads a file of the catalogue.
func readJSON(path string) (json.RawMessage, error) {
	content, err := configfile.Read(path, maxCatalogueFile)
	switch {
	case err != nil:
		return nil, err
	case !json.Valid(content):
		return nil, fmt.Errorf("%s is not JSON", path)
	}
	return bytes.TrimSpace(content), nil
}

// compileSchema reads a schema, which may not refer to another document: to load
// a config asks nothing of the network.
func compileSchema(name string, encoded json.RawMessage) (*jsonschema.Schema, error) {
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	location := "catalogue:///" + name // from which relative references lead nowhere
	if err := compiler.AddResource(location, decoded); err != nil {
		return nil, err
	}
	return compiler.Compile(location)
}

type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("a schema can only refer to itself")
}

// exampleOf returns an example of what a schema describes, or nil.
func exampleOf(schema json.RawMessage) json.RawMessage {
	var decoded any
	if json.Unmarshal(schema, &decoded) != nil {
		return nil
	}
	found, ok := example(decoded)
	if _, isObject := found.(map[string]any); !ok || !isObject {
		return nil
	}
	encoded, _ := json.Marshal(found) // what was decoded encodes
	return encoded
}

// example looks for what a schema has as an example, or those of its properties.
func example(schema any) (any, bool) {
	keywords, _ := schema.(map[string]any)
	if examples, _ := keywords["examples"].([]any); len(examples) > 0 {
		return examples[0], true
	}
	if value, ok := keywords["default"]; ok {
		return value, true
	}
	properties, _ := keywords["properties"].(map[string]any)
	made := make(map[string]any)
	for name, property := range properties {
		if value, ok := example(property); ok {
			made[name] = value
		}
	}
	return made, len(made) > 0
}

// Interface guard
var _ jsonschema.URLLoader = noLoader{}
