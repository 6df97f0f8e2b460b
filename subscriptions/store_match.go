package subscriptions

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
	"github.com/f737063d/caddy-connector/subscriptions/filter"
)

const (
	// maxCandidates is how many subscriptions are read at once. Only for one event
	// that has more of them, all are.
	maxCandidates = 4000
	noLimit       = math.MaxInt64

	keptFilters = 1 << 20 // bytes of the text of filters that are kept parsed
)

// interest is what subscriptions to a resource have in common for events:
// the resource's id, the owner, and the resource's type; the latter two may be "".
type interest [3]string

// interest is that of the subscriptions that an event is for.
func (e Event) interest() interest { return interest{e.ResourceID, e.AccountID, e.ResourceType} }

// candidate is a subscription to the resource of an event.
type candidate struct {
	delivery.Recipient
	events []string
	filter string // "" for none
	parsed *filter.Filter
}

// candidateColumns are for scanCandidate.
const candidateColumns = "s.id, s.events, s.ordered, coalesce(s.rate_limit, 0), coalesce(s.filter, '')"

func scanCandidate(row datastore.Scanner, before ...any) (c candidate, err error) {
	var patterns string
	if err := row.Scan(append(before, &c.Subscription, &patterns, &c.Ordered, &c.Rate, &c.filter)...); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(patterns), &c.events)
}

// findCandidates is of a JSON array of interests, each of which is a number in
// the result, in whose order rows are. A bare LIMIT $3 SQLite would plan for its
// value, and so prepare the statement again whenever it is run.
var findCandidates = map[datastore.Dialect]string{
	datastore.SQLite: candidatesFrom("json_each($1) AS k CROSS JOIN connector_subscriptions", "k.key") + " ORDER BY k.rowid LIMIT $3 + 0",
	// the resources' ids stand there once more: of a join alone PostgreSQL may
	// think that it finds most of the table, and read all of it; and that is not
	// to be planned for the limit
	datastore.PostgreSQL: "WITH found AS MATERIALIZED (" +
		candidatesFrom("json_array_elements($1::json) WITH ORDINALITY AS k (value, n) JOIN connector_subscriptions", "k.n - 1 AS number") +
		" AND s.resource_id = ANY($4::text[])) SELECT * FROM found ORDER BY number LIMIT $3",
}

func candidatesFrom(from, number string) string {
	return "SELECT " + number + ", " + candidateColumns + " FROM " + from + ` AS s
		ON s.resource_id = k.value ->> 0
		WHERE s.status <> 'ended' AND (k.value ->> 1 = '' OR s.owner = k.value ->> 1) AND (s.expires_at IS NULL OR s.expires_at > $2)
			AND (s.resource_type = k.value ->> 2 OR k.value ->> 2 = '' AND s.resource_type NOT IN ('` + reservedResource + `', '` + connectionResource + `'))`
}

// querier is a database, or a transaction in it.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// fanOut is the subscriptions to the resources of events. Events of the same
// resource share what is found.
type fanOut struct {
	numbers  map[interest]int
	found    [][]candidate
	complete int // interests with lower numbers have all of theirs
	kept     int // bytes of the text of filters that are kept parsed
}

// fanOutOf finds the subscriptions to the resources of events, of the first ones
// if there are more than the limit.
func fanOutOf(ctx context.Context, on querier, dialect datastore.Dialect, events []*publication, limit int) (*fanOut, error) {
	f := &fanOut{numbers: make(map[interest]int, len(events))}
	wanted := make([]interest, 0, len(events))
	for _, p := range events {
		one := p.event.interest()
		if _, known := f.numbers[one]; !known {
			f.numbers[one] = len(wanted)
			wanted = append(wanted, one)
		}
	}
	encoded, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	args := []any{string(encoded), micros(time.Now()), limit}
	if dialect == datastore.PostgreSQL {
		args = append(args, resources(wanted))
	}
	f.found, f.complete = make([][]candidate, len(wanted)), len(wanted)
	rows, err := on.Query(ctx, findCandidates[dialect], args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	count, number := 0, 0
	for ; rows.Next(); count++ {
		c, err := scanCandidate(rows, &number)
		if err != nil {
			return nil, err
		}
		f.found[number] = append(f.found[number], c)
	}
	if count == limit {
		f.complete = number
	}
	return f, rows.Err()
}

// resources are the ids of the resources that are wanted, each once.
func resources(wanted []interest) (ids []string) {
	for _, one := range wanted {
		ids = append(ids, one[0])
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// knows reports whether all subscriptions to an event's resource were found.
func (f *fanOut) knows(p *publication) bool {
	number, asked := f.numbers[p.event.interest()]
	return asked && number < f.complete
}

// reach is how many deliveries events may have, as far as that is known.
func (f *fanOut) reach(events []*publication) (most int, known bool) {
	known = true
	for _, p := range events {
		most += len(f.found[f.numbers[p.event.interest()]])
		known = known && f.knows(p)
	}
	return most, known
}

// match finds the subscriptions that an event is for.
func (f *fanOut) match(p *publication) error {
	p.matching = nil
	filtered := filtering{data: p.event.Data}
	candidates := f.found[f.numbers[p.event.interest()]]
	for i := range candidates {
		c := &candidates[i]
		if !eventtype.MatchAny(c.events, p.event.Type) {
			continue
		}
		wanted, err := f.filter(c)
		if err != nil {
			return err
		}
		if wants, err := filtered.wants(wanted); err != nil {
			return err
		} else if wants {
			p.matching = append(p.matching, c.Recipient)
		}
	}
	return nil
}

// filter parses a candidate's filter, once for all events if there is room; nil
// where there is none.
func (f *fanOut) filter(c *candidate) (*filter.Filter, error) {
	if c.filter == "" || c.parsed != nil {
		return c.parsed, nil
	}
	parsed, err := filter.Parse([]byte(c.filter))
	if err == nil && f.kept+len(c.filter) <= keptFilters {
		f.kept += len(c.filter)
		c.parsed = parsed
	}
	return parsed, err
}
