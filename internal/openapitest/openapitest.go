// Package openapitest holds what an API answers to its OpenAPI document, and the
// document to OpenAPI. It is for tests.
package openapitest

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Object is a part of a document.
type Object = map[string]any

// Document is an OpenAPI document. It is safe for concurrent use.
type Document struct {
	root     Object
	mu       sync.Mutex // over compiler
	compiler *jsonschema.Compiler
}

const documentURL = "openapi:///openapi.json"

// pointerEscapes are those of JSON pointers (RFC 6901).
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// New reads a document.
func New(encoded []byte) (*Document, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // which loads nothing
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	if err := compiler.AddResource(documentURL, decoded); err != nil {
		return nil, err
	}
	root, _ := decoded.(Object)
	return &Document{root: root, compiler: compiler}, nil
}

// Place is a part of the document, and where that is.
type Place struct {
	Value   any
	pointer string
}

// At goes down to a part, and to what that refers to. Its value is nil where there
// is none.
func (d *Document) At(names ...string) Place { return d.below(Place{Value: d.root}, names...) }

func (d *Document) below(from Place, names ...string) Place {
	for _, name := range names {
		members, _ := from.Value.(Object)
		from = Place{members[name], from.pointer + "/" + url.PathEscape(pointerEscapes.Replace(name))}
		if members, ok := from.Value.(Object); ok && name != "schema" {
			if ref, ok := members["$ref"].(string); ok {
				from = d.At(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			}
		}
	}
	return from
}

// Validate says what is wrong with JSON by a schema of the document.
func (d *Document) Validate(schema Place, encoded string) error {
	decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(encoded))
	if err != nil {
		return err
	}
	compiled, err := d.compile(schema)
	if err != nil {
		return err
	}
	return compiled.Validate(decoded)
}

func (d *Document) compile(schema Place) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.compiler.Compile(documentURL + "#" + schema.pointer)
}

// Operations returns the methods and paths that are in the document, sorted.
func (d *Document) Operations() (all []string) {
	paths, _ := d.root["paths"].(Object)
	for path := range paths {
		for method := range d.At("paths", path).Value.(Object) {
			if method != "parameters" && method != "description" {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Check checks the document against OpenAPI's own schema, which knows no other
// members, and each schema in it against that of JSON Schema.
func (d *Document) Check(t testing.TB) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	meta, err := jsonschema.UnmarshalJSON(strings.NewReader(datamodel.OpenAPI31SchemaData))
	if err == nil {
		err = compiler.AddResource("openapi:///3.1", meta)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.MustCompile("openapi:///3.1").Validate(d.root); err != nil {
		t.Error(err)
	}
	d.walk(t, Place{Value: d.root})
}

// walk checks what is below a place.
func (d *Document) walk(t testing.TB, from Place) {
	t.Helper()
	if elements, ok := from.Value.([]any); ok {
		for i, element := range elements {
			d.walk(t, Place{element, from.pointer + "/" + strconv.Itoa(i)})
		}
		return
	}
	members, _ := from.Value.(Object)
	if members["$id"] != nil {
		return // a document in the document, whose references lead into itself
	}
	if ref, ok := members["$ref"].(string); ok && d.At(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).Value == nil {
		t.Errorf("%s refers to %s, which is not there", from.pointer, ref)
	}
	for name, value := range members {
		below := Place{value, from.pointer + "/" + url.PathEscape(pointerEscapes.Replace(name))}
		if name == "schema" || strings.HasPrefix(from.pointer, "/components/schemas") && strings.Count(from.pointer, "/") == 2 {
			if _, err := d.compile(below); err != nil {
				t.Error(err)
			}
		}
		d.walk(t, below)
	}
}
