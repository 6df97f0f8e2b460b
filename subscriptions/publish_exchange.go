package subscriptions

import (
	"cmp"
	"net/http"

	"go.uber.org/zap/zapcore"

	"github.com/f737063d/caddy-connector/internal/jsonbody"
	"github.com/f737063d/caddy-connector/internal/problem"
)

// publishing is one request and what came of it.
type publishing struct {
	publisher *Publisher
	request   *http.Request
	user      string
	results   []Published
}

// serve answers the request.
func (pub *publishing) serve(w http.ResponseWriter) {
	a, err := pub.run(w)
	if err == nil {
		a.write(w)
		return
	}
	told := refused(pub.request, pub.publisher.logger, err)
	publishRejections.WithLabelValues(told.Code).Inc()
	told.write(w)
}

func (pub *publishing) run(w http.ResponseWriter) (*answer, error) {
	r, p := pub.request, pub.publisher
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, errMethod
	}
	if err := checkUser(pub.user); err != nil {
		return nil, err
	}
	kind := jsonbody.MediaType(r)
	if kind != jsonType && kind != linesType && !isCloudEvents(r, kind) {
		return nil, errMediaType
	}
	body, broken := problem.ReadBody(r, p.MaxBody)
	if broken != nil {
		return nil, &refusal{broken}
	}
	events, single, err := p.parse(r, body, kind)
	if err != nil {
		return nil, err
	}
	within := traceparentOf(r)
	for i := range events {
		events[i].Traceparent = cmp.Or(events[i].Traceparent, within)
		if wrong := p.catalogue.check(events[i]); wrong != nil {
			return nil, wrong.atIndex(i)
		}
	}
	if err := pub.identify(events); err != nil {
		return nil, err
	}
	if pub.results, err = p.store.Publish(r.Context(), events); err != nil {
		return nil, err
	}
	countPublished(pub.results)
	if single {
		return &answer{status: http.StatusAccepted, body: pub.results[0]}, nil
	}
	return &answer{status: http.StatusAccepted, body: pub.results}, nil
}

// placeholder looks up the placeholders in Publisher's documentation.
func (pub *publishing) placeholder(key string) (any, bool) {
	switch key {
	case "http.publish_events.events":
		return len(pub.results), true
	case "http.publish_events.deliveries":
		return pub.deliveries(), true
	}
	return nil, false
}

func (pub *publishing) deliveries() (sum int) {
	for _, result := range pub.results {
		if !result.Duplicate {
			sum += result.Deliveries
		}
	}
	return sum
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what the access log says
// of the request.
func (pub *publishing) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if len(pub.results) > 0 {
		enc.AddInt("events", len(pub.results))
		enc.AddInt("deliveries", pub.deliveries())
	}
	return nil
}

// Interface guard
var _ zapcore.ObjectMarshaler = (*publishing)(nil)
