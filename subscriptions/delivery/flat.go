package delivery

import (
	"encoding/json"
	"net/http"
)

// data returns the event's data as it was published.
func (m *Message) data() []byte { return m.Body[m.DataAt : len(m.Body)-1] }

// setHeader tells in header fields what a receiver of the data alone does not
// learn from the body.
func (m *Message) setHeader(h http.Header) {
	var envelope struct {
		Type         string `json:"type"`
		ResourceType string `json:"resource_type"`
		ResourceID   string `json:"resource_id"`
	}
	// what is before the data goes on with null
	if json.Unmarshal(append(m.Body[:m.DataAt:m.DataAt], "null}"...), &envelope) != nil {
		return // the body always is an object
	}
	h.Set("Webhook-Event-Type", visible(envelope.Type))
	h.Set("Webhook-Resource-Id", visible(envelope.ResourceID))
	if envelope.ResourceType != "" {
		h.Set("Webhook-Resource-Type", visible(envelope.ResourceType))
	}
}

// visible percent-encodes the bytes of a text that are not visible ASCII, and
// percent signs, so that it can be decoded. The text is bounded where it is
// published.
func visible(text string) string {
	const hex = "0123456789ABCDEF"
	encoded := make([]byte, 0, len(text))
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '%' {
			encoded = append(encoded, '%', hex[c>>4], hex[c&15])
		} else {
			encoded = append(encoded, c)
		}
	}
	return string(encoded)
}
