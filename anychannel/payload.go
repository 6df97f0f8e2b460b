package anychannel

import (
	"bytes"
	"encoding/json"
	"net/url"

	"github.com/f737063d/caddy-connector/internal/secret"
)

// payloadPrefix is the part of a request to a service that is the same for every
// request of an instance: its metadata, encoded, up to where the client's data
// begins. It is as secret as the metadata.
type payloadPrefix struct {
	encoding string
	text     secret.Value
}

func newPayloadPrefix(encoding string, metadata secret.Value) payloadPrefix {
	return payloadPrefix{encoding, metadata.Map(func(plain string) string {
		if encoding == encodingJSON {
			return `{"instance_metadata":` + quoteJSON(plain) + `,"client_data":`
		}
		return "instance_metadata=" + url.QueryEscape(plain) + "&client_data="
	})}
}

// contentType is the media type of the payload.
func (p payloadPrefix) contentType() string {
	if p.encoding == encodingJSON {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// append returns the payload for the client's data, which must be UTF-8. What a
// service decodes is the data byte for byte.
func (p payloadPrefix) append(clientData []byte) []byte {
	prefix, data := p.text.Reveal(), string(clientData)
	if p.encoding == encodingJSON {
		return []byte(prefix + quoteJSON(data) + "}")
	}
	return []byte(prefix + url.QueryEscape(data))
}

// quoteJSON returns text as a JSON string.
func quoteJSON(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string always encodes
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}
