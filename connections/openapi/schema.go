package openapi

import (
	"slices"
	"strconv"
)

// schemas are those of the bodies, in JSON Schema 2020-12. Each is a member of
// definitions, to which the others refer.
type schemas struct {
	definitions map[string]any
	names       map[string]bool // of properties
	checker
}

// converter makes JSON Schema of a document's schemas. Of their keywords it
// keeps those by which a value is checked, and which don't lead elsewhere.
type converter struct {
	*source
	*schemas
	made    map[*node]string
	total   int // schemas that are made
	inside  int // of them, in the definition that is being made
	tooMany bool
}

const (
	maxSchemas = 200_000
	maxInside  = 2000
)

func newConverter(s *source) *converter {
	return &converter{
		source:  s,
		schemas: &schemas{definitions: make(map[string]any), names: make(map[string]bool)},
		made:    make(map[*node]string),
	}
}

// add returns the name of a schema among the definitions.
func (c *converter) add(n *node) string {
	if name, ok := c.made[n]; ok {
		return name
	}
	name := strconv.Itoa(len(c.made))
	c.made[n] = name // before it is made: it may refer to itself
	outside := c.inside
	c.inside = 0
	definition := c.convert(n)
	if c.inside > maxInside {
		c.addAt(n, Warning, "A schema is not checked: it has too many others in it.")
		definition = true
	}
	c.definitions[name], c.inside = definition, outside
	return name
}

// convert returns the JSON Schema of a schema. What can't be checked is true,
// which any value satisfies.
func (c *converter) convert(n *node) any {
	c.inside++
	if c.total++; c.total > maxSchemas {
		c.tooMany = true
		return true
	}
	if n.is(scalar) && n.scalar == false {
		return false
	}
	if !n.is(mapping) {
		return true
	}
	out := map[string]any{keyword: ""}
	if ref := n.get("$ref"); ref != nil {
		if target := c.target(ref); target != nil {
			out[keyword] = c.add(target)
		}
		if c.is30 { // whose references have nothing beside them
			return out
		}
	}
	for _, m := range n.members {
		if value := c.convertKeyword(m.name, m.value); value != nil {
			out[m.name] = value
		}
	}
	c.withoutWriteOnly(n, out)
	if c.is30 {
		return to2020(n, out)
	}
	return out
}

// withoutWriteOnly makes optional what an answer doesn't have.
func (c *converter) withoutWriteOnly(n *node, out map[string]any) {
	required, _ := out["required"].([]any)
	if required == nil {
		return
	}
	out["required"] = slices.DeleteFunc(required, func(name any) bool {
		text, _ := name.(string)
		return c.resolve(n.get("properties").get(text)).get("writeOnly").isTrue()
	})
}

// to2020 adds what OpenAPI 3.0 says in a way of its own.
func to2020(n *node, out map[string]any) any {
	for limit, exclusive := range map[string]string{"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"} {
		if value := out[limit]; value != nil && n.get(exclusive).isTrue() {
			out[exclusive] = value
			delete(out, limit)
		}
	}
	if !n.get("nullable").isTrue() {
		return out
	}
	if out["type"] == nil { // as many write it, beside allOf
		return map[string]any{keyword: "", "anyOf": []any{map[string]any{"type": "null"}, out}}
	}
	out["type"] = []any{out["type"], "null"}
	if enum, ok := out["enum"].([]any); ok && !slices.Contains(enum, nil) {
		out["enum"] = append(enum, nil)
	}
	return out
}
