package problem

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
)

func TestDisown(t *testing.T) {
	h := http.Header{"Proxy-Status": {
		"other; error=dns_error", "caddy-connector; error=dns_error", `a, "Caddy-Connector"; error=x`, "last",
	}}
	Disown(h)
	if got := h["Proxy-Status"]; !slices.Equal(got, []string{"other; error=dns_error", "last"}) {
		t.Errorf("left: %q", got)
	}
	Disown(http.Header{})
}

func TestWrite(t *testing.T) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Length", "1000000")
	rec.Header().Set("Content-Encoding", "gzip")
	rec.Header().Set("Retry-After", "7")
	p := &Problem{http.StatusBadGateway, "upstream_unreachable", `The "integration" can't be reached.`, "connection_refused"}
	p.Write(rec)

	if rec.Code != http.StatusBadGateway {
		t.Errorf("status %d", rec.Code)
	}
	for name, want := range map[string]string{
		"Content-Type":     "application/problem+json",
		"Content-Length":   strconv.Itoa(rec.Body.Len()),
		"Content-Encoding": "",
		"Cache-Control":    "no-store",
		"Proxy-Status":     "caddy-connector; error=connection_refused",
		"Retry-After":      "7",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"type": "about:blank", "title": "Bad Gateway", "status": 502.0,
		"detail": p.Message, "code": p.Code, "message": p.Message,
	} {
		if body[name] != want {
			t.Errorf("%s: %v, want %v", name, body[name], want)
		}
	}
	if len(body) != 6 {
		t.Errorf("members: %v", body)
	}
}
