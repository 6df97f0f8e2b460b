package subscriptions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// The types of bodies.
const (
	jsonType  = "application/json"
	linesType = "application/x-ndjson"
)

const (
	eventPrefix = "evt_"
	maxEventID  = 64 // bytes

	// maxNesting is how many levels deep data may be: receivers read no more than
	// some hundreds, and encoding/json no more than 10,000, with what is around it.
	maxNesting = 500
)

// parseEvents reads the events of a body, and whether that is one object. Those
// that name no id have none yet.
func (p *Publisher) parseEvents(body []byte, kind string) (events []Event, single bool, err error) {
	if !utf8.Valid(body) {
		return nil, false, errPublishBody
	}
	single = kind == jsonType && isObject(body)
	encoded := []json.RawMessage{body}
	if !single {
		if encoded, err = p.split(body, kind); err != nil {
			return nil, false, err
		}
	}
	events = make([]Event, len(encoded))
	for i := range encoded {
		o, ok := parseObject(encoded[i])
		if !ok && single {
			return nil, false, errPublishBody
		}
		wrong := errEvent
		if ok {
			events[i], wrong = p.parseEvent(o)
		}
		if wrong != nil {
			return nil, false, wrong.atIndex(i)
		}
	}
	return events, single, nil
}

// split finds the events in an array, or in lines.
func (p *Publisher) split(body []byte, kind string) (encoded []json.RawMessage, err error) {
	if kind == jsonType {
		if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '[' {
			return nil, errPublishBody
		}
		if json.Unmarshal(body, &encoded) != nil {
			return nil, errPublishBody
		}
	} else {
		for line := range bytes.Lines(body) {
			if line = bytes.Trim(line, " \t\r\n"); len(line) > 0 {
				encoded = append(encoded, line)
			}
		}
	}
	switch {
	case len(encoded) == 0:
		return nil, errNoEvents
	case len(encoded) > p.MaxEvents:
		return nil, errManyEvents
	}
	return encoded, nil
}

func (p *Publisher) parseEvent(o object) (event Event, wrong *refusal) {
	var ok bool
	if event.Type, ok = text(o.get("type")); !ok || !eventtype.Valid(event.Type) {
		return event, errEventType
	}
	if given := o.get("resource_type"); given != nil {
		if event.ResourceType, ok = text(given); !ok || !resourceName.MatchString(event.ResourceType) {
			return event, errEventResource
		}
		if isReserved(event.ResourceType) {
			return event, errEventReserved
		}
	}
	if event.ResourceID, ok = identifier(o.get("resource_id")); !ok {
		return event, errEventResourceID
	}
	if given := o.get("account_id"); given != nil {
		if event.AccountID, ok = identifier(given); !ok {
			return event, errEventAccountID
		}
	}
	if given := o.get("id"); given != nil {
		if event.ID, ok = text(given); !ok || !validEventID(event.ID) {
			return event, errEventID
		}
	}
	event.Data = o.get("data")
	return event, p.checkData(event.Data)
}

// checkData says what is wrong with data that is JSON, or nothing.
func (p *Publisher) checkData(data json.RawMessage) *refusal {
	switch {
	case !isObject(data):
		return errEventData
	case int64(len(data)) > p.MaxData:
		return errEventDataSize
	case isDeeper(data, maxNesting):
		return errEventDataDeep
	}
	return nil
}

// isDeeper reports whether valid JSON is nested deeper than so many levels.
func isDeeper(encoded []byte, levels int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(encoded); i++ {
		switch c := encoded[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > levels {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}

func validEventID(id string) bool {
	if id == "" || len(id) > maxEventID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// identify gives an id to each event that has none.
func (pub *publishing) identify(events []Event) error {
	keys := pub.request.Header.Values("Idempotency-Key")
	if len(keys) > 1 || len(keys) == 1 && !caller.ValidID(keys[0]) { // the same rule
		return errIdempotencyKey
	}
	seen := make(map[string]struct{}, len(events))
	for i := range events {
		id := &events[i].ID
		switch {
		case *id != "":
		case len(keys) == 1:
			*id = repeatableID(pub.user, keys[0], i)
		default:
			*id = eventPrefix + ulid.Make().String()
		}
		if _, repeated := seen[*id]; repeated {
			return errEventRepeated.atIndex(i)
		}
		seen[*id] = struct{}{}
	}
	return nil
}

// repeatableID is the same for the same event of a repeated request. Users cannot
// meet each other's: neither they nor the keys have spaces.
func repeatableID(user, key string, index int) string {
	sum := sha256.Sum256([]byte(user + " " + key + " " + strconv.Itoa(index)))
	return eventPrefix + hex.EncodeToString(sum[:16])
}
