// Package jsonanswer writes what the APIs of the edge answer.
package jsonanswer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// Write answers with a body that always encodes, or with none for nil. Nothing of
// it may be stored by caches.
func Write(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(encoded.Len()))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(encoded.Bytes()) // the client is gone where this fails
}
