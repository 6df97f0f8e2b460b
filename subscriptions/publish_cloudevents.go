package subscriptions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/subscriptions/cloudevents"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// isCloudEvents reports whether a request's body, of a media type, is one of the
// content modes of CloudEvents.
func isCloudEvents(r *http.Request, kind string) bool {
	switch {
	case kind == cloudevents.StructuredType, kind == cloudevents.BatchType:
		return true
	case strings.HasPrefix(kind, "application/cloudevents"): // in a format that nobody reads here
		return false
	}
	return (kind == jsonType || strings.HasSuffix(kind, "+json")) && cloudevents.IsBinary(r.Header)
}

// parse reads the events of a body, and whether that is one of them alone.
func (p *Publisher) parse(r *http.Request, body []byte, kind string) (events []Event, single bool, err error) {
	if isCloudEvents(r, kind) {
		return p.parseCloudEvents(r, body, kind)
	}
	return p.parseEvents(body, kind)
}

// parseCloudEvents is parse for one of the content modes of CloudEvents.
func (p *Publisher) parseCloudEvents(r *http.Request, body []byte, kind string) (events []Event, single bool, err error) {
	if !utf8.Valid(body) {
		return nil, false, errPublishBody
	}
	if kind == cloudevents.BatchType {
		events, err = p.parseCloudEventBatch(body)
		return events, false, err
	}
	var found cloudevents.Event
	if kind == cloudevents.StructuredType {
		found, err = cloudevents.ParseJSON(body)
	} else {
		found, err = cloudevents.ParseHeader(r.Header)
		if found.Data = bytes.Trim(body, " \t\r\n"); err == nil && !json.Valid(found.Data) {
			return nil, false, errPublishBody
		}
	}
	if errors.Is(err, cloudevents.ErrNotObject) {
		return nil, false, errPublishBody
	}
	event, wrong := p.fromCloudEvent(found, err)
	if wrong != nil {
		return nil, false, wrong.atIndex(0)
	}
	return []Event{event}, true, nil
}

// parseCloudEventBatch reads a batch, which may be empty.
func (p *Publisher) parseCloudEventBatch(body []byte) ([]Event, error) {
	encoded, err := p.split(body, jsonType)
	if err != nil && !errors.Is(err, errNoEvents) {
		return nil, err
	}
	events := make([]Event, len(encoded))
	for i := range encoded {
		var wrong *refusal
		if events[i], wrong = p.fromCloudEvent(cloudevents.ParseJSON(encoded[i])); wrong != nil {
			return nil, wrong.atIndex(i)
		}
	}
	return events, nil
}

// fromCloudEvent makes an event of a CloudEvent. When that happened is not kept:
// the timestamp of an event is when it was published.
func (p *Publisher) fromCloudEvent(found cloudevents.Event, err error) (Event, *refusal) {
	event := Event{
		ID: cloudEventID(found.Source, found.ID), Type: found.Type, ResourceType: found.ResourceType, ResourceID: found.Subject,
		AccountID: found.AccountID, Traceparent: parseTraceparent(found.TraceParent), Data: found.Data,
	}
	switch {
	case err != nil:
		return event, cloudEventRefusal(err)
	case !eventtype.Valid(event.Type):
		return event, errEventType
	case event.ResourceType != "" && !resourceName.MatchString(event.ResourceType):
		return event, errEventResource
	case isReserved(event.ResourceType):
		return event, errEventReserved
	case !validIdentifier(event.ResourceID):
		return event, errCloudEventSubject
	case event.AccountID != "" && !validIdentifier(event.AccountID):
		return event, errCloudEventAccount
	}
	return event, p.checkData(event.Data)
}

// cloudEventID is the id of an event whose CloudEvent is told from others by its
// source and id. Neither has a control character.
func cloudEventID(source, id string) string {
	sum := sha256.Sum256([]byte("cloudevent\x00" + source + "\x00" + id))
	return eventPrefix + hex.EncodeToString(sum[:16])
}

func cloudEventRefusal(err error) *refusal {
	if wrong, ok := errors.AsType[*cloudevents.AttributeError](err); ok {
		if wrong.Missing {
			return invalid("cloudevent_attribute_missing", "The CloudEvent has no attribute "+wrong.Name+".")
		}
		return invalid("cloudevent_attribute_invalid", "The CloudEvent's attribute "+wrong.Name+" is not what CloudEvents 1.0 says it is.")
	}
	switch {
	case errors.Is(err, cloudevents.ErrSpecVersion):
		return errCloudEventVersion
	case errors.Is(err, cloudevents.ErrBinaryData):
		return errCloudEventBinary
	}
	return errEvent // of a batch, which is not an object
}
