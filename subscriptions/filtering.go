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

// wants reports whether a filter lets the event pass; "" lets all.
func (f *filtering) wants(stored string) (bool, error) {
	if stored == "" {
		return true, nil
	}
	if f.parsed == nil {
		parsed, err := filter.ParseData(f.data)
		if err != nil {
			return false, err
		}
		f.parsed = &parsed
	}
	wanted, err := filter.Parse([]byte(stored))
	if err != nil {
		return false, err
	}
	return wanted.Match(*f.parsed), nil
}
