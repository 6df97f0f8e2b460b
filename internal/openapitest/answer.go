package openapitest

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Answer is one that an API gave, and what it was for.
type Answer struct {
	Method string
	Sent   string // the request's body
	Status int
	Header http.Header
	Body   string
}

// Hold says what of an answer the document does not have, under a path of it. If
// the answer is a success, the request's body is held to it, too.
func (d *Document) Hold(path string, got Answer) error {
	described := strings.ToLower(got.Method)
	if got.Method == http.MethodHead {
		described = "get"
	}
	item := d.At("paths", path)
	if item.Value == nil {
		return fmt.Errorf("no such path")
	}
	operation := d.below(item, described)
	response := d.below(operation, "responses", strconv.Itoa(got.Status))
	if operation.Value == nil {
		response = d.At("components", "responses", "MethodNotAllowed")
		if got.Status != http.StatusMethodNotAllowed {
			return fmt.Errorf("no such method")
		}
	}
	if response.Value == nil {
		return fmt.Errorf("no such status")
	}
	if err := d.holdHeader(response, got); err != nil {
		return err
	}
	if err := d.holdBody(response, got); err != nil {
		return err
	}
	body := d.below(operation, "requestBody", "content", "application/json", "schema")
	required, _ := d.below(operation, "requestBody", "required").Value.(bool)
	if got.Status >= 300 || body.Value == nil || got.Sent == "" && !required {
		return nil
	}
	if err := d.Validate(body, got.Sent); err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	return nil
}

func (d *Document) holdHeader(response Place, got Answer) error {
	fields, _ := d.below(response, "headers").Value.(Object)
	for name := range fields {
		field := d.below(response, "headers", name)
		value := got.Header.Get(name)
		if required, _ := field.Value.(Object)["required"].(bool); value == "" && !required {
			continue
		}
		if err := d.Validate(d.below(field, "schema"), strconv.Quote(value)); value == "" || err != nil {
			return fmt.Errorf("%s is %q: %v", name, value, err)
		}
	}
	return nil
}

func (d *Document) holdBody(response Place, got Answer) error {
	contents, _ := d.below(response, "content").Value.(Object)
	if len(contents) == 0 {
		if got.Body != "" || got.Header.Get("Content-Type") != "" {
			return fmt.Errorf("there is a body")
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	schema := d.below(response, "content", kind, "schema")
	switch {
	case schema.Value == nil:
		return fmt.Errorf("it is %s", kind)
	case got.Method == http.MethodHead:
		return nil
	}
	return d.Validate(schema, got.Body)
}
