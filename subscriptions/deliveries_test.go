package subscriptions

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// write changes the running config's database, whichever it is.
func (e *edge) write(query string, args ...any) {
	e.t.Helper()
	err := e.db().Write(context.Background(), func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// ask reads one value from the running config's database, "" where there is none.
func (e *edge) ask(query string, args ...any) string {
	e.t.Helper()
	var value sql.NullString
	if err := e.db().QueryRow(context.Background(), query, args...).Scan(&value); err != nil && err != sql.ErrNoRows {
		e.t.Fatal(err)
	}
	return value.String
}

// deliveries returns all deliveries of a list, page by page, as text.
func (e *edge) deliveries(path, query string) (found []map[string]any, pages int) {
	e.t.Helper()
	for cursor := any(""); cursor != nil; pages++ {
		page := e.do("alice", "GET", path+"/deliveries?"+query+"&cursor="+cursor.(string), "")
		page.is(e.t, http.StatusOK, "")
		for _, one := range page.body["data"].([]any) {
			found = append(found, one.(map[string]any))
		}
		cursor = page.body["next_cursor"]
	}
	return found, pages
}

func (e *edge) deliveryIDs(path, query string) (ids []string) {
	found, _ := e.deliveries(path, query)
	for _, one := range found {
		ids = append(ids, one["id"].(string))
	}
	return ids
}

// wait returns the deliveries when none is pending any more, oldest first.
func (e *edge) settled(path string, n int) (ids []string) {
	e.t.Helper()
	eventually(e.t, "the deliveries", func() bool {
		ids = e.deliveryIDs(path, "state=delivered,dead,cancelled")
		return len(ids) == n
	})
	slices.Reverse(ids)
	return ids
}

func TestDeliveries(t *testing.T) { eachDatabase(t, listDeliveries) }

func listDeliveries(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(500)
			fmt.Fprint(w, "inside")
		}
	})
	path := "/subscriptions/" + e.subscribe("alice", "p1", "target_url", hook.URL).id()
	failed := e.publish("p1", "task.create", `{"n":1}`)
	eventually(t, "a failure", func() bool { return len(e.deliveryIDs(path, "state=pending")) == 1 && len(hook.seen()) == 1 })
	taken := e.publish("p1", "task.update", `{"n":2}`)
	eventually(t, "a success", func() bool { return len(e.deliveryIDs(path, "state=delivered")) > 0 })

	found, _ := e.deliveries(path, "")
	if len(found) != 2 || found[0]["event_id"] != taken || found[1]["event_id"] != failed {
		t.Fatalf("found %v", found)
	}
	eventually(t, "the first attempt", func() bool {
		found, _ = e.deliveries(path, "")
		return found[1]["attempts"] != 0.0
	})
	one := found[1]
	if one["subscription_id"] != path[len("/subscriptions/"):] || one["event_type"] != "task.create" || len(one) != 9 {
		t.Errorf("delivery %v", one)
	}
	if last := one["last_attempt"].(map[string]any); last["status"] != 500.0 || last["error"] != "status" || last["number"] != 1.0 || last["duration_ms"] == nil || len(last) != 5 {
		t.Errorf("last attempt %v", last)
	}
	if last := found[0]["last_attempt"].(map[string]any); last["status"] != 200.0 || last["error"] != nil || found[0]["next_attempt_at"] != nil {
		t.Errorf("delivered %v", found[0])
	}

	eventually(t, "the second attempt", func() bool { return len(e.deliveryIDs(path, "state=delivered")) == 2 })
	got := e.do("alice", "GET", "/deliveries/"+one["id"].(string), "")
	got.is(t, http.StatusOK, "")
	list := got.body["attempt_list"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["status"] != 500.0 || list[1].(map[string]any)["status"] != 200.0 || got.body["attempts"] != 2.0 {
		t.Errorf("attempts %v", list)
	}
	if payload := got.body["payload"].(map[string]any); payload["id"] != failed || fmt.Sprint(payload["data"]) != "map[n:1]" {
		t.Errorf("payload %v", payload)
	}
	if strings.Contains(got.text, "inside") {
		t.Errorf("the target's answer is shown: %s", got.text)
	}
	e.write("UPDATE connector_subscriptions SET flat = 1")
	if got = e.do("alice", "GET", "/deliveries/"+got.id(), ""); fmt.Sprint(got.body["payload"]) != "map[n:1]" {
		t.Errorf("flat payload %v", got.body["payload"])
	}
	e.write("DELETE FROM connector_events WHERE id = $1", failed)
	if got = e.do("alice", "GET", "/deliveries/"+got.id(), ""); got.StatusCode != 200 || got.body["payload"] != nil || got.body["event_type"] != "" {
		t.Errorf("without its event: %s", got.text)
	}
}

func TestDeliveryFilters(t *testing.T) { eachDatabase(t, filterDeliveries) }

func filterDeliveries(t *testing.T, e *edge, _ string) {
	sub := e.subscribe("alice", "p1").id()
	path := "/subscriptions/" + sub
	other := e.subscribe("alice", "p2").id()
	base := time.Now().Add(-48 * time.Hour).Truncate(time.Hour)
	var ids, created []string
	for i := range 12 { // every third is another subscription's
		to, kind, at := sub, "task.create", base.Add(time.Duration(i)*time.Hour)
		if i%3 == 2 {
			to = other
		}
		if i%2 == 1 {
			kind = "task.update"
		}
		e.write(`INSERT INTO connector_events (id, type, resource_id, body, data_at, deliveries, created_at) VALUES ($1, $2, 'p1', $3, 0, 1, $4)`,
			fmt.Sprint("evt_", i), kind, []byte("{}"), micros(at))
		e.write(`INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due) VALUES ($1, $2, $3, 0, 0, 9000000000000000)`,
			fmt.Sprint("evt_", i), to, i%4)
		if to == sub {
			ids = append(ids, "dlv_"+e.ask("SELECT max(id) FROM connector_deliveries"))
			created = append(created, at.UTC().Format(time.RFC3339))
		}
	}
	slices.Reverse(ids) // events 10 9 7 6 4 3 1 0, states 2 1 3 2 0 3 1 0
	slices.Reverse(created)
	for query, want := range map[string][]int{
		"":                                  {0, 1, 2, 3, 4, 5, 6, 7},
		"state=pending":                     {4, 7},
		"state=dead,pending":                {0, 3, 4, 7},
		"state=dead&state=cancelled":        {0, 2, 3, 5},
		"state=dead,dead":                   {0, 3},
		"event_type=task.create":            {0, 3, 4, 7},
		"event_type=task.create&state=dead": {0, 3},
		"event_type=task.delete":            nil,
		"since=" + created[2]:               {0, 1, 2},
		"until=" + created[2]:               {2, 3, 4, 5, 6, 7},
		"since=" + created[5] + "&until=" + created[2]:                                           {2, 3, 4, 5},
		"since=" + created[5] + "&until=" + created[2] + "&state=dead":                           {3},
		"since=1970-01-01T00:00:00Z":                                                             {0, 1, 2, 3, 4, 5, 6, 7},
		"since=2999-01-01T00:00:00Z":                                                             nil,
		"until=0001-01-01T00:00:00Z":                                                             nil,
		"since=" + base.Add(390*time.Minute).UTC().Format(time.RFC3339) + "&until=" + created[0]: {0, 1, 2},
	} {
		var expected []string
		for _, i := range want {
			expected = append(expected, ids[i])
		}
		for _, limit := range []string{"1", "2", "3", "100"} {
			if got := e.deliveryIDs(path, query+"&limit="+limit); !slices.Equal(got, expected) {
				t.Errorf("%s, limit %s: %v, want %v", query, limit, got, expected)
			}
		}
	}
	if _, pages := e.deliveries(path, "limit=4"); pages != 2 {
		t.Errorf("%d pages", pages)
	}
	for query, code := range map[string]string{
		"limit=0": "limit_invalid", "limit=101": "limit_invalid", "cursor=1": "cursor_invalid", "cursor=dlv_": "cursor_invalid", "cursor=dlv_0": "cursor_invalid",
		"cursor=dlv_01": "cursor_invalid", "cursor=dlv_-1": "cursor_invalid", "cursor=dlv_99999999999999999999": "cursor_invalid",
		"state=": "state_invalid", "state=x": "state_invalid", "state=dead,": "state_invalid", "since=": "since_invalid", "since=2020": "since_invalid",
		"until=x": "until_invalid", "event_type=": "event_type_invalid", "event_type=*": "event_type_invalid",
	} {
		e.do("alice", "GET", path+"/deliveries?"+query, "").is(t, http.StatusBadRequest, code)
	}
}

// bulk has n deliveries of events that there are, a second apart.
func (e *edge) bulk(subscription string, n, state int) {
	e.t.Helper()
	now := micros(time.Now())
	e.write(`INSERT INTO connector_events (id, type, resource_id, body, data_at, deliveries, created_at)
		WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
		SELECT 'evt_bulk_' || n, 'task.create', 'p1', $3, 0, 1, CAST($2 AS BIGINT) - CAST($1 - n AS BIGINT) * 1000000 FROM numbers`, n, now, []byte("{}"))
	e.write(`INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due)
		WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
		SELECT 'evt_bulk_' || n, $2, $3, 0, CAST($4 AS BIGINT) - CAST($1 - n AS BIGINT) * 1000000, $4 FROM numbers ORDER BY n`, n, subscription, state, now)
}

// A filter that finds nothing looks at no more than its share for a page.
func TestAPageLooksAtSoMany(t *testing.T) {
	defer func(n int) { maxScan = n }(maxScan)
	maxScan = scanStep
	eachDatabase(t, func(t *testing.T, e *edge, _ string) {
		sub := e.subscribe("alice", "p1").id()
		e.bulk(sub, 2*maxScan+scanStep, 1)
		found, pages := e.deliveries("/subscriptions/"+sub, "event_type=task.delete")
		if len(found) != 0 || pages != 4 {
			t.Errorf("%d found on %d pages", len(found), pages)
		}
		// times are found without looking at what is before and after them
		at := time.Now().Add(-time.Duration(maxScan) * time.Second)
		query := "limit=100&since=" + at.Add(-50*time.Second).UTC().Format(time.RFC3339) + "&until=" + at.UTC().Format(time.RFC3339)
		if found, pages := e.deliveries("/subscriptions/"+sub, query); len(found) < 49 || len(found) > 52 || pages != 1 {
			t.Errorf("%d found on %d pages", len(found), pages)
		}
	})
}

func TestOthersDeliveriesAreUnknown(t *testing.T) { eachDatabase(t, othersDeliveries) }

func othersDeliveries(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	e.publish("p1", "task.create", "{}")
	own := e.settled("/subscriptions/"+sub, 1)[0]
	made := e.do("alice", "POST", "/subscriptions/"+sub+"/replays", `{"since":"2020-01-01T00:00:00Z"}`)
	made.is(t, http.StatusAccepted, "")
	for _, request := range [][3]string{
		{"GET", "/deliveries", ""}, {"POST", "/test", ""}, {"GET", "/replays", ""}, {"POST", "/replays", `{"since":"2020-01-01T00:00:00Z"}`},
		{"GET", "/replays/" + made.id(), ""}, {"DELETE", "/replays/" + made.id(), ""},
	} {
		for _, path := range []string{"/subscriptions/" + sub, "/subscriptions/" + newID(), "/subscriptions/x"} {
			e.do("bob", request[0], path+request[1], request[2]).is(t, http.StatusNotFound, "subscription_unknown")
		}
		e.do("", request[0], "/subscriptions/"+sub+request[1], request[2]).is(t, http.StatusUnauthorized, "user_missing")
	}
	for _, id := range []string{own, "dlv_999999999", "dlv_0", "x", "dlv_0x1", "%00"} {
		e.do("bob", "GET", "/deliveries/"+id, "").is(t, http.StatusNotFound, "delivery_unknown")
		e.do("bob", "POST", "/deliveries/"+id+"/retry", "").is(t, http.StatusNotFound, "delivery_unknown")
	}
	// a replay is its subscription's
	other := e.subscribe("alice", "p2").id()
	for _, id := range []string{made.id(), newReplayID(), "x"} {
		e.do("alice", "GET", "/subscriptions/"+other+"/replays/"+id, "").is(t, http.StatusNotFound, "replay_unknown")
		e.do("alice", "DELETE", "/subscriptions/"+other+"/replays/"+id, "").is(t, http.StatusNotFound, "replay_unknown")
	}
	e.stays(hook, 1)
	e.do("alice", "DELETE", "/subscriptions/"+sub, "").is(t, http.StatusNoContent, "")
	e.do("alice", "GET", "/deliveries/"+own, "").is(t, http.StatusNotFound, "delivery_unknown")
}
