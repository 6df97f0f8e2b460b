package subscriptions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const event = `{"type":"task.create","resource_id":"p1","data":{}}`

// bodies returns what of events is stored, by type.
func (e *edge) bodies() []string {
	e.t.Helper()
	return e.rows("SELECT CAST(body AS TEXT) FROM connector_events ORDER BY type")
}

func TestPublish(t *testing.T) {
	e := start(t, site)
	e.subscribe("alice", "p1")
	e.subscribe("bob", "p1", "events", []string{"task.*"})
	e.subscribe("bob", "p2")
	got := e.do("app", "POST", "/events", ` {"type":"task.create","resource_id":"p1","data": { "a" : 1.0, "b":"\u00fc<" } ,"more":1}`)
	got.is(t, http.StatusAccepted, "")
	if !strings.HasPrefix(got.id(), "evt_") || len(got.id()) != 30 || got.body["duplicate"] != false || got.body["deliveries"] != 2.0 || len(got.body) != 3 {
		t.Errorf("answer %s", got.text)
	}
	if bodies := e.bodies(); len(bodies) != 1 || !strings.HasSuffix(bodies[0], `"resource_id":"p1","data":{ "a" : 1.0, "b":"\u00fc<" }}`) {
		t.Errorf("bodies: %s", bodies)
	}

	// chosen ids, numbers, and one account
	body := `{"id":"my-Event_1","type":"project.archive","resource_id":1,"account_id":7,"data":{}}`
	for _, duplicate := range []bool{false, true} {
		got := e.do("app", "POST", "/events", body)
		if got.is(t, http.StatusAccepted, ""); got.id() != "my-Event_1" || got.body["duplicate"] != duplicate || got.body["deliveries"] != 0.0 {
			t.Errorf("answer %s", got.text)
		}
	}
	if rows := e.rows("SELECT resource_id FROM connector_events WHERE id = 'my-Event_1'"); !slices.Equal(rows, []string{"1"}) {
		t.Errorf("rows: %q", rows)
	}
	if bodies := e.bodies(); !strings.Contains(bodies[0], `"account_id":"7"`) {
		t.Errorf("bodies: %s", bodies)
	}
	got = e.do("app", "POST", "/events", `{"type":"task.create","resource_id":"p1","account_id":"bob","data":{}}`)
	if got.is(t, http.StatusAccepted, ""); got.body["deliveries"] != 1.0 {
		t.Errorf("answer %s", got.text)
	}
}

func TestPublishSeveral(t *testing.T) {
	e := start(t, site)
	e.subscribe("alice", "p1", "events", []string{"task.update"})
	first := `{"id":"1","type":"task.create","resource_id":"p1","data":{}}`
	second := `{"id":"2","type":"task.update","resource_id":"p1","data":{"x":"\n"}}`
	e.do("app", "POST", "/events", first).is(t, http.StatusAccepted, "")
	for i, request := range [][2]string{
		{"[" + first + ",\n " + second + "]", "application/json"},
		{" [" + second + "] ", "application/json; charset=utf-8"},
		{first + "\n" + second, "application/x-ndjson"},
		{"\r\n" + first + "\r\n\n  " + second + " \r\n\r\n", "application/x-ndjson"},
		{second + "\n", "application/x-ndjson"},
	} {
		got := e.do("app", "POST", "/events", request[0], "Content-Type: "+request[1])
		got.is(t, http.StatusAccepted, "")
		var results []Published
		if err := json.Unmarshal([]byte(got.text), &results); err != nil {
			t.Fatalf("answer %s: %v", got.text, err)
		}
		want := []Published{{"1", true, 0}, {"2", i > 0, 1}}
		if want = want[2-len(results):]; !reflect.DeepEqual(results, want) {
			t.Errorf("request %d: %v, want %v", i, results, want)
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	e := start(t, site)
	for name, test := range map[string]struct{ event, code string }{
		"type missing":         {`{"resource_id":"p1","data":{}}`, "event_type_invalid"},
		"type in other case":   {`{"Type":"task.create","resource_id":"p1","data":{}}`, "event_type_invalid"},
		"type a wildcard":      {`{"type":"task.*","resource_id":"p1","data":{}}`, "event_type_invalid"},
		"type has capitals":    {`{"type":"Task.create","resource_id":"p1","data":{}}`, "event_type_invalid"},
		"type a number":        {`{"type":1,"resource_id":"p1","data":{}}`, "event_type_invalid"},
		"type too long":        {`{"type":"` + strings.Repeat("a", 129) + `","resource_id":"p1","data":{}}`, "event_type_invalid"},
		"resource missing":     {`{"type":"task.create","data":{}}`, "event_resource_id_invalid"},
		"resource null":        {`{"type":"task.create","resource_id":null,"data":{}}`, "event_resource_id_invalid"},
		"resource empty":       {`{"type":"task.create","resource_id":"","data":{}}`, "event_resource_id_invalid"},
		"resource an exponent": {`{"type":"task.create","resource_id":1e3,"data":{}}`, "event_resource_id_invalid"},
		"resource too long":    {`{"type":"task.create","resource_id":"` + strings.Repeat("a", 256) + `","data":{}}`, "event_resource_id_invalid"},
		"resource has NUL":     {`{"type":"task.create","resource_id":"\u0000","data":{}}`, "event_resource_id_invalid"},
		"account empty":        {`{"type":"task.create","resource_id":"p1","account_id":"","data":{}}`, "event_account_id_invalid"},
		"account true":         {`{"type":"task.create","resource_id":"p1","account_id":true,"data":{}}`, "event_account_id_invalid"},
		"id empty":             {`{"type":"task.create","resource_id":"p1","id":"","data":{}}`, "event_id_invalid"},
		"id a number":          {`{"type":"task.create","resource_id":"p1","id":1,"data":{}}`, "event_id_invalid"},
		"id has a dot":         {`{"type":"task.create","resource_id":"p1","id":"a.b","data":{}}`, "event_id_invalid"},
		"id too long":          {`{"type":"task.create","resource_id":"p1","id":"` + strings.Repeat("a", 65) + `","data":{}}`, "event_id_invalid"},
		"data missing":         {`{"type":"task.create","resource_id":"p1"}`, "event_data_invalid"},
		"data null":            {`{"type":"task.create","resource_id":"p1","data":null}`, "event_data_invalid"},
		"data an array":        {`{"type":"task.create","resource_id":"p1","data":[]}`, "event_data_invalid"},
		"data too large":       {`{"type":"task.create","resource_id":"p1","data":{"a":"` + strings.Repeat("a", 57) + `"}}`, "event_data_too_large"},
		"an array":             {`[]`, "event_invalid"},
		"a text":               {`"x"`, "event_invalid"},
		"null":                 {`null`, "event_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.code != "event_invalid" {
				e.do("app", "POST", "/events", test.event).is(t, http.StatusUnprocessableEntity, test.code)
			}
			for _, request := range [][2]string{
				{"[" + event + "," + test.event + "]", "application/json"}, {event + "\n" + test.event + "\n", "application/x-ndjson"},
			} {
				got := e.do("app", "POST", "/events", request[0], "Content-Type: "+request[1])
				got.is(t, http.StatusUnprocessableEntity, test.code)
				if message := got.body["message"].(string); !strings.HasPrefix(message, "At index 1: ") {
					t.Errorf("message %q", message)
				}
			}
		})
	}
	long := `{"type":"task.create","resource_id":"p1","id":"` + strings.Repeat("a", 64) + `","data":{"a":"` + strings.Repeat("a", 56) + `"}}`
	if bodies := e.bodies(); len(bodies) > 0 {
		t.Errorf("published: %s", bodies)
	}
	e.do("app", "POST", "/events", long).is(t, http.StatusAccepted, "")
}

func TestPublishRefusesBodies(t *testing.T) {
	e := start(t, strings.Replace(site, "max_events 3", "max_events 3\nmax_body 1KiB", 1))
	repeated := `{"id":"x",` + event[1:]
	for name, test := range map[string]struct {
		body, header string
		status       int
		code         string
	}{
		"no type":         {event, "Content-Type: ", 415, "media_type_unsupported"},
		"text":            {event, "Content-Type: text/plain", 415, "media_type_unsupported"},
		"compressed":      {event, "Content-Encoding: br", 415, "media_type_unsupported"},
		"empty":           {"", "Content-Type: application/json", 400, "body_invalid"},
		"not JSON":        {"{", "X: y", 400, "body_invalid"},
		"null":            {"null", "X: y", 400, "body_invalid"},
		"number":          {"1", "X: y", 400, "body_invalid"},
		"broken array":    {"[" + event, "X: y", 400, "body_invalid"},
		"two objects":     {event + event, "X: y", 400, "body_invalid"},
		"not UTF-8":       {strings.Replace(event, "p1", "\xff", 1), "X: y", 400, "body_invalid"},
		"too large":       {strings.Repeat(" ", 1025) + event, "X: y", 413, "body_too_large"},
		"no events":       {"[]", "X: y", 422, "events_missing"},
		"no lines":        {"\n \r\n", "Content-Type: application/x-ndjson", 422, "events_missing"},
		"nothing":         {"", "Content-Type: application/x-ndjson", 422, "events_missing"},
		"broken line":     {event + "\n{\n", "Content-Type: application/x-ndjson", 422, "event_invalid"},
		"two on a line":   {event + event, "Content-Type: application/x-ndjson", 422, "event_invalid"},
		"too many":        {"[" + strings.Repeat(event+",", 3) + event + "]", "X: y", 422, "too_many_events"},
		"too many lines":  {strings.Repeat(event+"\n", 4), "Content-Type: application/x-ndjson", 422, "too_many_events"},
		"repeated id":     {"[" + repeated + "," + repeated + "]", "X: y", 422, "event_id_repeated"},
		"key too long":    {event, "Idempotency-Key: " + strings.Repeat("a", 256), 400, "idempotency_key_invalid"},
		"key has a space": {event, "Idempotency-Key: a b", 400, "idempotency_key_invalid"},
		"as many as may":  {"[" + strings.Repeat(event+",", 2) + event + "]", "X: y", 202, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e.do("app", "POST", "/events", test.body, test.header).is(t, test.status, test.code)
		})
	}
	if bodies := e.bodies(); len(bodies) != 3 {
		t.Errorf("published: %s", bodies)
	}
}

func TestPublishPathsAndUsers(t *testing.T) {
	e := start(t, site)
	got := e.do("app", "GET", "/events", "")
	if got.is(t, http.StatusMethodNotAllowed, "method_not_allowed"); got.Header.Get("Allow") != "POST" {
		t.Errorf("Allow %q", got.Header.Get("Allow"))
	}
	got = e.do("", "POST", "/events", event)
	if got.is(t, http.StatusUnauthorized, "user_missing"); got.Header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	e.do("a b", "POST", "/events", event).is(t, http.StatusForbidden, "user_invalid")
	for _, path := range []string{"/events/", "/event", "/Events", "/%65vents", "/events/x", "/x/events"} {
		e.do("app", "POST", path, event).is(t, 299, "")
	}
	e.load("", strings.Replace(site, "max_events 3", "path /api/push", 1))
	e.do("app", "POST", "/events", event).is(t, 299, "")
	e.do("app", "POST", "/api/push?x=y", event).is(t, http.StatusAccepted, "")
}

func TestIdempotencyKey(t *testing.T) {
	e := start(t, site)
	publish := func(user, key, body string) []Published {
		t.Helper()
		got := e.do(user, "POST", "/events", "["+body+"]", "Idempotency-Key: "+key)
		got.is(t, http.StatusAccepted, "")
		var results []Published
		if err := json.Unmarshal([]byte(got.text), &results); err != nil {
			t.Fatal(err)
		}
		return results
	}
	seen := make(map[string]bool)
	for _, who := range [][2]string{{"app", "k1"}, {"app", "k2"}, {"app2", "k1"}, {"app", "k1,0"}} {
		first := publish(who[0], who[1], event)
		again := publish(who[0], who[1], event)
		if first[0].Duplicate || !again[0].Duplicate || first[0].ID != again[0].ID || seen[first[0].ID] || !validEventID(first[0].ID) {
			t.Errorf("%v: %v, %v", who, first, again)
		}
		seen[first[0].ID] = true
	}
	// of several, each has its own; a chosen id stays
	several := event + "," + event + `,{"id":"mine",` + event[1:]
	first := publish("app", "k3", several)
	for i, again := range publish("app", "k3", several) {
		if first[i].Duplicate || !again.Duplicate || again.ID != first[i].ID {
			t.Errorf("%d: %v, %v", i, first[i], again)
		}
	}
	if first[0].ID == first[1].ID || first[2].ID != "mine" {
		t.Errorf("ids: %v", first)
	}
}

// What is not published may not leave a trace, however many are before it.
func TestPublishIsAllOrNothing(t *testing.T) {
	e := start(t, site)
	e.subscribe("alice", "p1")
	e.exec(`CREATE TRIGGER broken BEFORE INSERT ON connector_events WHEN NEW.id = 'broken' BEGIN SELECT RAISE(FAIL, 'broken'); END`)
	got := e.do("app", "POST", "/events", fmt.Sprintf(`[%s,{"id":"broken",%s]`, event, event[1:]))
	got.is(t, http.StatusInternalServerError, "internal")
	if rows := e.rows("SELECT id FROM connector_events UNION SELECT event_id FROM connector_deliveries"); len(rows) > 0 {
		t.Errorf("rows: %q", rows)
	}
}
