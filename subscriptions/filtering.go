package subscriptions

import (
	"encoding/json"

	"github.com/f737063d/caddy-connector/subscriptions/filter"
)

// filtering is one event before the filters of those that could get it. Its data
// is parsed at the first one.
type filtering struct {
	data   json.RawMessage
	parsed *filter.Data
}

// wants reports whether a filter lets the event pass; nil lets all.
func (f *filtering) wants(wanted *filter.Filter) (bool, error) {
	if wanted == nil {
		return true, nil
	}
	if f.parsed == nil {
		parsed, err := filter.ParseData(f.data)
		if err != nil {
			return false, err
		}
		f.parsed = &parsed
	}
	return wanted.Match(*f.parsed), nil
}
