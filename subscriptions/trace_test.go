package subscriptions

import (
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A push belongs to the trace of the request that published the event: that of
// Caddy's own tracing, or else of the publisher's. Its parent is another one.
func TestPushesAreTraced(t *testing.T) {
	const sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	collector := newReceiver(t, nil)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	spans := func() (all string) {
		for _, request := range collector.seen() {
			all += string(request.body)
		}
		return all
	}

	e := start(t, site)
	hook := newReceiver(t, nil)
	e.subscribe("alice", "p1", "target_url", hook.URL)
	push := func(header ...string) string {
		t.Helper()
		n := len(hook.seen())
		e.do("app", "POST", "/events", `{"type":"task.create","resource_id":"p1","data":{}}`, header...).is(t, http.StatusAccepted, "")
		eventually(t, "the push", func() bool { return len(hook.seen()) > n })
		return strings.Join(hook.seen()[n].header.Values("Traceparent"), ", ")
	}
	wanted := regexp.MustCompile("^00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]$")
	parts := func(traceparent string) (trace, parent string) {
		t.Helper()
		found := wanted.FindStringSubmatch(traceparent)
		if found == nil {
			t.Fatalf("traceparent %q", traceparent)
		}
		return found[1], found[2]
	}

	if got := push(); got != "" {
		t.Errorf("without a trace: %q", got)
	}
	if got := push("Traceparent: of no trace"); got != "" {
		t.Errorf("with a broken one: %q", got)
	}
	trace, parent := parts(push("Traceparent: " + sent))
	if trace != sent[3:35] || parent == sent[36:52] {
		t.Errorf("the publisher's: %s %s", trace, parent)
	}

	e.load("", strings.Replace(site, "route {", "tracing {\n\t\tspan publish\n\t}\n\troute {", 1))
	for _, header := range [][]string{nil, {"Traceparent: " + sent}} {
		trace, parent := parts(push(header...))
		if header != nil && (trace != sent[3:35] || parent == sent[36:52]) {
			t.Errorf("the publisher's, with tracing: %s %s", trace, parent)
		}
		raw, _ := hex.DecodeString(trace)
		own, _ := hex.DecodeString(parent)
		eventually(t, "the span of the request", func() bool { return strings.Contains(spans(), string(raw)) })
		if strings.Contains(spans(), string(own)) {
			t.Error("the push has the parent of the request itself")
		}
	}
}
