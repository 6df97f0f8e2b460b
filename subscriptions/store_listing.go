package subscriptions

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// maxScan is how many deliveries are looked at for a page with a filter that no
// index knows, in steps. What is left is for the next page. A variable for tests.
var maxScan = 10_000

const (
	scanStep = 1000

	// clockSkew bounds how far the order of deliveries' ids is from that of their
	// events' times: by as much as transactions overlap, or a clock is set back.
	clockSkew = time.Minute

	maxAttempts = 100 // that are shown of a delivery: the last ones
)

// The times between which everything was published.
const (
	always = math.MinInt64
	never  = math.MaxInt64
)

// listing is what of a subscription's deliveries is asked for.
type listing struct {
	subscription string
	states       []delivery.State
	since, until int64  // the first and the last time of publishing
	eventType    string // "" for all
	before       int64  // only deliveries with lower ids
	limit        int
}

// wants checks what the query does not.
func (l *listing) wants(d *deliveryRow) bool {
	return d.published >= l.since && d.published <= l.until && (l.eventType == "" || d.eventType == l.eventType)
}

// deliveryRow is a delivery with its event's type and its last attempt. Times
// are microseconds since 1970.
type deliveryRow struct {
	id           int64
	subscription string
	status       string // of the subscription
	eventID      string
	eventType    string // "" where the event is not kept any more
	state        delivery.State
	attempts     int
	due          int64
	published    int64
	last         attemptRow
}

// attemptRow is an attempt. Its number is 0 where there is none.
type attemptRow struct {
	number   int
	started  int64
	duration int64
	status   int
	error    string
}

const deliveryColumns = `d.id, d.subscription_id, d.event_id, d.state, d.attempts, d.due,
	coalesce(e.type, ''), coalesce(e.created_at, d.since),
	coalesce(a.number, 0), coalesce(a.started, 0), coalesce(a.duration, 0), coalesce(a.status, 0), coalesce(a.error, '')`

const deliveryJoins = ` LEFT JOIN connector_events AS e ON e.id = d.event_id
	LEFT JOIN connector_attempts AS a ON a.delivery_id = d.id AND a.number = d.attempts`

func scanDelivery(row datastore.Scanner, more ...any) (*deliveryRow, error) {
	d := new(deliveryRow)
	return d, row.Scan(append([]any{
		&d.id, &d.subscription, &d.eventID, &d.state, &d.attempts, &d.due, &d.eventType, &d.published,
		&d.last.number, &d.last.started, &d.last.duration, &d.last.status, &d.last.error,
	}, more...)...)
}

// merged selects at most $4 deliveries of the subscription $1 that are in one of
// the states, with ids above $2 and below $3. The index has each state's in the
// order of ids, so one limited select for each reads no more than is needed,
// however many there are.
func merged(states []delivery.State, order string) string {
	var selects []string
	for _, state := range states {
		selects = append(selects, `SELECT * FROM (SELECT id, subscription_id, event_id, state, attempts, due, since FROM connector_deliveries
			WHERE subscription_id = $1 AND state = `+strconv.Itoa(int(state))+` AND id > $2 AND id < $3
			ORDER BY id `+order+` LIMIT $4) AS in_state`)
	}
	return strings.Join(selects, " UNION ALL ") + " ORDER BY id " + order + " LIMIT $4"
}

// deliveries returns a page of a subscription's deliveries, the newest first, and
// below which id the next page begins; 0 where there is none.
func (s *Store) deliveries(ctx context.Context, l listing) (page []*deliveryRow, next int64, err error) {
	after, before := int64(0), l.before
	if l.since != always {
		if after, err = s.firstSince(ctx, l.since-clockSkew.Microseconds()); err != nil {
			return nil, 0, err
		}
		after--
	}
	if l.until != never {
		end, err := s.firstSince(ctx, l.until+clockSkew.Microseconds())
		if err != nil {
			return nil, 0, err
		}
		before = min(before, end)
	}
	step := l.limit + 1
	if after != 0 || l.until != never || l.eventType != "" {
		step = max(step, scanStep)
	}
	for scanned := 0; scanned < maxScan; scanned += step {
		found, err := s.deliveriesBetween(ctx, l, after, before, step)
		if err != nil {
			return nil, 0, err
		}
		for _, d := range found {
			if !l.wants(d) {
				continue
			}
			if len(page) == l.limit {
				return page, page[l.limit-1].id, nil
			}
			page = append(page, d)
		}
		if len(found) < step {
			return page, 0, nil
		}
		before = found[step-1].id
	}
	return page, before, nil
}

func (s *Store) deliveriesBetween(ctx context.Context, l listing, after, before int64, limit int) ([]*deliveryRow, error) {
	rows, err := s.db.Query(ctx, "SELECT "+deliveryColumns+" FROM ("+merged(l.states, "DESC")+") AS d"+deliveryJoins+" ORDER BY d.id DESC",
		l.subscription, after, before, limit)
	return datastore.Collect(rows, err, func(row datastore.Scanner) (*deliveryRow, error) { return scanDelivery(row) })
}

// firstSince returns from which id on deliveries' events were published at a
// time or later. No index has both; but ids grow with the time of publishing, so
// it is found by halving, in as many steps as the number of deliveries has bits.
// Where the order is a little different, so is the result: by clockSkew at most.
func (s *Store) firstSince(ctx context.Context, at int64) (int64, error) {
	var low, high int64
	err := s.db.QueryRow(ctx, `SELECT coalesce((SELECT min(id) FROM connector_deliveries), 1),
		coalesce((SELECT max(id) FROM connector_deliveries), 0) + 1`).Scan(&low, &high)
	for err == nil && low < high {
		middle := low + (high-low)/2
		var id, published int64
		// where the event is gone, the time of the last replay is the best there is
		err = s.db.QueryRow(ctx, `SELECT d.id, coalesce(e.created_at, d.since)
			FROM (SELECT id, event_id, since FROM connector_deliveries WHERE id >= $1 ORDER BY id LIMIT 1) AS d
			LEFT JOIN connector_events AS e ON e.id = d.event_id`, middle).Scan(&id, &published)
		switch {
		case errors.Is(err, sql.ErrNoRows): // those behind it have just been pruned
			high, err = middle, nil
		case published >= at:
			high = middle
		default:
			low = id + 1
		}
	}
	return low, err
}

// delivery returns a delivery to a subscription of an owner's.
func (s *Store) delivery(ctx context.Context, owner string, id int64) (*deliveryRow, error) {
	var status string
	d, err := scanDelivery(s.db.QueryRow(ctx, "SELECT "+deliveryColumns+", s.status FROM connector_deliveries AS d "+
		"JOIN connector_subscriptions AS s ON s.id = d.subscription_id"+deliveryJoins+" WHERE d.id = $1 AND s.owner = $2", id, owner), &status)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errDelivery
	}
	d.status = status
	return d, err
}

// payload returns what a delivery's requests have as their body, or nil where
// the event is not kept any more.
func (s *Store) payload(ctx context.Context, d *deliveryRow) (body []byte, err error) {
	var flat bool
	var dataAt int
	err = s.db.QueryRow(ctx, `SELECT e.body, e.data_at, s.flat FROM connector_events AS e, connector_subscriptions AS s
		WHERE e.id = $1 AND s.id = $2`, d.eventID, d.subscription).Scan(&body, &dataAt, &flat)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if flat && dataAt < len(body) {
		body = body[dataAt : len(body)-1]
	}
	return body, err
}

// attempts returns a delivery's attempts, the last ones of many, in their order.
func (s *Store) attempts(ctx context.Context, id int64) ([]attemptRow, error) {
	rows, err := s.db.Query(ctx, `SELECT number, started, duration, status, error FROM (
		SELECT number, started, duration, status, error FROM connector_attempts WHERE delivery_id = $1 ORDER BY number DESC LIMIT $2) AS last
		ORDER BY number`, id, maxAttempts)
	return datastore.Collect(rows, err, func(row datastore.Scanner) (a attemptRow, err error) {
		err = row.Scan(&a.number, &a.started, &a.duration, &a.status, &a.error)
		return a, err
	})
}
