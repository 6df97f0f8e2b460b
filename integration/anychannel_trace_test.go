package integration

import (
	"strings"
	"testing"
)

// S24: with tracing on, spans tell of requests through any_channel, and nothing
// of the metadata.
func TestTracesHaveNoMetadata(t *testing.T) {
	ca := newAuthority(t)
	collector := newUpstream(t, nil)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")

	const secret = "s3cr3t+of/omniwear="
	sites := channelWith(t, newService(t, ca, jsonAnswer(`{"ok":true}`)), "")
	sites = strings.Replace(sites, "route {", "tracing {\n\t\tspan app\n\t\tspan_attributes {\n\t\t\tinstance {http.any_channel.instance}\n\t\t}\n\t}\n\troute {", 1)
	s := start(t, ca.openEgress(), sites)
	for _, request := range []struct {
		target string
		status int
	}{
		{proxyTo("62", "/like"), 200},
		{proxyTo("62", "http://other.example/"), 422},
		{proxyTo("64", "/like"), 404},
	} {
		if got := s.do("POST", request.target, `{"liked": true}`, asJSON); got.StatusCode != request.status {
			t.Errorf("%s: %d %s", request.target, got.StatusCode, got.body)
		}
	}
	var spans strings.Builder
	eventually(t, "three spans", func() bool {
		spans.WriteString(strings.Join(collector.seen(), ""))
		return strings.Count(spans.String(), "/api/v2/any_channel/proxy.json") >= 3
	})
	if !strings.Contains(spans.String(), "omniwear") {
		t.Errorf("no span names the instance: %q", spans.String())
	}
	wantNoSecret(t, "a span", spans.String(), secret)
	wantNoSecret(t, "a span", spans.String(), omniwear)
}
