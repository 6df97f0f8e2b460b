package receiver

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
)

// post is what the proxy posted.
type post struct{ metadata, clientData document }

// placeholder implements caddy.ReplacerFunc. All names below ours are known, so
// that what a request lacks is empty and does not stay in the text.
func (p *post) placeholder(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, "http.any_channel_service.")
	if !ours {
		return nil, false
	}
	name, path, isMember := strings.Cut(name, ".")
	var doc *document
	switch name {
	case metadataField:
		doc = &p.metadata
	case clientDataField:
		doc = &p.clientData
	default:
		return "", true
	}
	if !isMember {
		return doc.text, true
	}
	return doc.member(path), true
}

// document is a text in UTF-8 that may be JSON, which is found out when somebody
// asks for a member of it.
type document struct {
	text   string
	mu     sync.Mutex
	isJSON bool
	found  map[string]string // what was asked for, by path
}

// member returns what a placeholder with this path stands for.
func (d *document) member(path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil {
		d.found = make(map[string]string)
		d.isJSON = json.Valid([]byte(d.text))
	}
	text, known := d.found[path]
	if !known && d.isJSON {
		text = lookup(d.text, path)
		d.found[path] = text
	}
	return text
}

// lookup finds a member of a JSON value, and returns its text or its bytes.
func lookup(value, path string) string {
	for step := range strings.SplitSeq(path, ".") {
		if value = child(value, step); value == "" {
			return ""
		}
	}
	switch value[0] {
	case 'n': // null
		return ""
	case '"':
		return unquote(value)
	}
	return value
}

// child returns the bytes of what an object or array has by this name or number,
// or nothing.
func child(value, step string) (found string) {
	switch kind(value) {
	case '{':
		for name, member := range children(value) {
			if name == step {
				found = member // the last, as encoding/json has it
			}
		}
	case '[':
		index, err := strconv.Atoi(step)
		if err != nil || strconv.Itoa(index) != step {
			return ""
		}
		for _, element := range children(value) {
			if index == 0 {
				return element
			}
			index--
		}
	}
	return found
}
