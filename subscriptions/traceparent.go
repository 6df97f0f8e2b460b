package subscriptions

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const traceparentName = "traceparent"

var traceContext propagation.TraceContext

// traceparentOf returns the W3C trace context that a request is part of: the
// span of Caddy's own `tracing`, if that runs, or what the client sent. It is ""
// where there is none that is valid.
func traceparentOf(r *http.Request) string {
	if current := trace.SpanContextFromContext(r.Context()); current.IsValid() {
		return formatTraceparent(current)
	}
	sent := r.Header.Values(traceparentName)
	if len(sent) != 1 {
		return ""
	}
	return parseTraceparent(sent[0])
}

// parseTraceparent returns a valid traceparent as the version that is known
// here, or "".
func parseTraceparent(sent string) string {
	carrier := propagation.MapCarrier{traceparentName: sent}
	return formatTraceparent(trace.SpanContextFromContext(traceContext.Extract(context.Background(), carrier)))
}

func formatTraceparent(span trace.SpanContext) string {
	carrier := make(propagation.MapCarrier, 1)
	traceContext.Inject(trace.ContextWithSpanContext(context.Background(), span), carrier)
	return carrier[traceparentName] // "" where the span is not valid
}
