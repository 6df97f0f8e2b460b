package openapi

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
)

// What a schema may have, so that each value is checked in a bounded time.
const (
	maxPattern  = 1024 // bytes
	maxPatterns = 20   // for the names of properties
	maxEnum     = 1000
)

// convertKeyword returns what a keyword of JSON Schema 2020-12 has for a value
// of the document. It is nil for a keyword that isn't kept, and for a value that
// the keyword can't have.
func (c *converter) convertKeyword(name string, n *node) any {
	switch name {
	case "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
		"unevaluatedProperties", "unevaluatedItems":
		if n.is(sequence) {
			return nil
		}
		return c.convert(n)
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return c.each(n)
	case "properties":
		return c.properties(n)
	case "patternProperties":
		return c.patternProperties(n)
	case "type":
		return types(n)
	case "required":
		return texts(n)
	case "enum":
		return c.enum(n)
	case "const":
		if checkable(n.value(), 1, new(int)) {
			return n.value()
		}
	case "pattern":
		return c.expression(n)
	case "uniqueItems":
		if n.isTrue() {
			return true
		}
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		return number(n)
	case "multipleOf":
		if limit, ok := number(n).(json.Number); ok && isPositive(limit) {
			return limit
		}
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
		if count, err := strconv.ParseUint(n.literal(), 10, 31); err == nil {
			return json.Number(strconv.FormatUint(count, 10))
		}
	}
	return nil
}

func (c *converter) each(n *node) any {
	if len(n.items) == 0 {
		return nil
	}
	made := make([]any, len(n.items))
	for i, item := range n.items {
		made[i] = c.convert(item)
	}
	return made
}

func (c *converter) properties(n *node) any {
	made := make(map[string]any, len(n.members))
	for _, m := range n.members {
		made[m.name] = c.convert(m.value)
		if len(m.name) <= maxName {
			c.names[m.name] = true
		}
	}
	return made
}

func (c *converter) patternProperties(n *node) any {
	made := make(map[string]any, len(n.members))
	for _, m := range n.members {
		if c.compiles(n, m.name) && len(made) < maxPatterns {
			made[m.name] = c.convert(m.value)
		}
	}
	return made
}

func (c *converter) expression(n *node) any {
	if text := n.text(); text != "" && c.compiles(n, text) {
		return text
	}
	return nil
}

// compiles reports whether a regular expression, which is ECMA's, is one of Go.
func (c *converter) compiles(at *node, expression string) bool {
	if len(expression) <= maxPattern {
		if _, err := regexp.Compile(expression); err == nil {
			return true
		}
	}
	c.addAt(at, Info, "A pattern is not checked: it is too long, or not in RE2's syntax.", shown(expression))
	return false
}

func (c *converter) enum(n *node) any {
	values, _ := n.value().([]any)
	if len(values) == 0 || !checkable(values, 1, new(int)) {
		return nil
	}
	if len(values) > maxEnum {
		c.addAt(n, Info, "An enum is not checked: it has too many values.")
		return nil
	}
	return values
}

var knownTypes = []string{"array", "boolean", "integer", "null", "number", "object", "string"}

func types(n *node) any {
	if slices.Contains(knownTypes, n.text()) {
		return n.text()
	}
	var known []any
	for _, item := range n.items {
		if slices.Contains(knownTypes, item.text()) && !slices.Contains(known, any(item.text())) {
			known = append(known, item.text())
		}
	}
	if known == nil || len(known) != len(n.items) {
		return nil
	}
	return known
}

func texts(n *node) any {
	found := []any{}
	for _, item := range n.elements() {
		if item.is(scalar) && !slices.Contains(found, any(item.text())) && len(found) < maxEnum {
			found = append(found, item.text())
		}
	}
	return found
}

// number returns a number that can be compared in a bounded time.
func number(n *node) any {
	if limit, ok := n.scalar.(json.Number); ok && checkableNumber(string(limit)) {
		return limit
	}
	return nil
}

func isPositive(number json.Number) bool {
	value, err := number.Float64()
	return err == nil && value > 0
}
