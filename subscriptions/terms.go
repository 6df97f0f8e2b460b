package subscriptions

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/f737063d/caddy-connector/subscriptions/filter"
)

const maxRate = 1000 // deliveries a second

// terms are what a subscriber can say at first and change later, beside the
// events. nil is what a body does not have.
type terms struct {
	flat      *bool
	filter    *string // "" for none
	headers   *map[string]string
	rateLimit *int   // 0 for none
	expiresAt *int64 // 0 for never
}

func (h *Handler) parseTerms(o object) (t terms, err error) {
	if given := o.get("flat"); given != nil {
		flat, ok := boolean(given)
		if !ok {
			return t, errFlat
		}
		t.flat = &flat
	}
	if o.has("filter") {
		if t.filter, err = parseFilter(o.get("filter")); err != nil {
			return t, err
		}
	}
	if o.has("headers") {
		headers, err := h.parseHeaders(o.get("headers"))
		if err != nil {
			return t, err
		}
		t.headers = &headers
	}
	if o.has("rate_limit") {
		if t.rateLimit, err = parseRate(o.get("rate_limit")); err != nil {
			return t, err
		}
	}
	if o.has("expires_at", "expiration_date") {
		var at int64
		if given := o.get("expires_at", "expiration_date"); given != nil {
			var ok bool
			if at, ok = parseTime(given); !ok {
				return t, errExpiry
			}
		}
		t.expiresAt = &at
	}
	return t, nil
}

func parseFilter(given json.RawMessage) (*string, error) {
	var text string
	if given != nil {
		parsed, err := filter.Parse(given)
		if err != nil {
			message := err.Error()
			return nil, invalid("filter_invalid", strings.ToUpper(message[:1])+message[1:]+".")
		}
		text = parsed.String()
	}
	return &text, nil
}

func parseRate(given json.RawMessage) (*int, error) {
	var rate int
	if given != nil {
		var err error
		if rate, err = strconv.Atoi(string(given)); err != nil || rate < 1 || rate > maxRate {
			return nil, errRate
		}
	}
	return &rate, nil
}

// apply changes s. The values of header fields are sealed elsewhere.
func (t terms) apply(s *subscription) {
	if t.flat != nil {
		s.flat = *t.flat
	}
	if t.filter != nil {
		s.filter = *t.filter
	}
	if t.headers != nil {
		s.signing.Headers = namesOf(*t.headers)
	}
	if t.rateLimit != nil {
		s.rateLimit = *t.rateLimit
	}
	if t.expiresAt != nil {
		s.expiresAt = *t.expiresAt
	}
}

// has reports whether one of these members is there, if only as null.
func (o object) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, there := o[name]; return there })
}
