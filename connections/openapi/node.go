package openapi

import (
	"encoding/json"
	"fmt"
)

// node is a part of a document. What is read of it never fails: a part that is
// missing, or is of another kind, is the nil node.
type node struct {
	shape   shape
	line    int // in the document, from 1
	scalar  any // a string, bool, json.Number or nil
	items   []*node
	members []member // in the document's order
	index   map[string]*node
}

type member struct {
	name  string
	value *node
}

type shape byte

const (
	scalar shape = iota
	sequence
	mapping
)

// maxUnindexed is how many members are found as fast without an index.
const maxUnindexed = 8

// add adds a member to a mapping, which doesn't have it yet.
func (n *node) add(name string, value *node) error {
	if n.get(name) != nil {
		return &Error{value.line, fmt.Sprintf("the member %s is there twice", shown(name))}
	}
	n.members = append(n.members, member{name, value})
	if len(n.members) > maxUnindexed {
		if n.index == nil {
			n.index = make(map[string]*node)
			for _, m := range n.members {
				n.index[m.name] = m.value
			}
		}
		n.index[name] = value
	}
	return nil
}

// get returns a member, or nil.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	if n.index != nil {
		return n.index[name]
	}
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// all returns the members of a mapping.
func (n *node) all() []member {
	if n == nil {
		return nil
	}
	return n.members
}

// elements returns what is in a sequence.
func (n *node) elements() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

// text returns a string, or "".
func (n *node) text() string {
	if n == nil {
		return ""
	}
	text, _ := n.scalar.(string)
	return text
}

// literal returns a scalar as it is written where a string is meant: documents
// have numbers for the values of variables.
func (n *node) literal() string {
	if n != nil {
		switch value := n.scalar.(type) {
		case string:
			return value
		case json.Number:
			return value.String()
		case bool:
			return fmt.Sprint(value)
		}
	}
	return ""
}

func (n *node) isTrue() bool { return n != nil && n.scalar == true }

func (n *node) is(s shape) bool { return n != nil && n.shape == s }

// value returns what encoding/json would make of it, with numbers as they are
// written.
func (n *node) value() any {
	switch {
	case n == nil:
		return nil
	case n.shape == mapping:
		members := make(map[string]any, len(n.members))
		for _, m := range n.members {
			members[m.name] = m.value.value()
		}
		return members
	case n.shape == sequence:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.value()
		}
		return items
	}
	return n.scalar
}
