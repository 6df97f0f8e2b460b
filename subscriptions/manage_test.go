package subscriptions

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

func TestList(t *testing.T) {
	e := start(t, site)
	got := e.do("alice", "GET", "/subscriptions", "")
	if got.is(t, http.StatusOK, ""); got.text != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("none: %s", got.text)
	}
	var want []string
	for _, resource := range []string{"a", "b", "c", "d", "e"} {
		want = append(want, e.subscribe("alice", resource).id())
		e.subscribe("bob", resource)
	}
	for limit, pages := range map[string]int{"1": 5, "2": 3, "5": 1, "100": 1} {
		var ids []string
		path, count := "/subscriptions?limit="+limit, 0
		for cursor := any(""); cursor != nil; count++ {
			page := e.do("alice", "GET", path+"&cursor="+cursor.(string), "")
			page.is(t, http.StatusOK, "")
			for _, found := range page.body["data"].([]any) {
				one := found.(map[string]any)
				ids = append(ids, one["id"].(string))
				if len(one) != 17 || one["secret"] != nil {
					t.Errorf("members: %v", one)
				}
			}
			cursor = page.body["next_cursor"]
		}
		if !slices.Equal(ids, want) || count != pages {
			t.Errorf("limit %s: %d pages of %v, want %v", limit, count, ids, want)
		}
	}
	for query, code := range map[string]string{
		"limit=0": "limit_invalid", "limit=101": "limit_invalid", "limit=": "limit_invalid", "limit=x": "limit_invalid",
		"cursor=x": "cursor_invalid", "cursor=sub_": "cursor_invalid", "cursor=%00": "cursor_invalid",
	} {
		e.do("alice", "GET", "/subscriptions?"+query, "").is(t, http.StatusBadRequest, code)
	}
}

func TestOthersSubscriptionsAreUnknown(t *testing.T) {
	e := start(t, site)
	id := e.subscribe("alice", "p1").id()
	before := e.rows("SELECT * FROM connector_subscriptions")
	unknown := newID()
	for _, path := range []string{"/subscriptions/" + id, "/subscriptions/" + unknown, "/subscriptions/x", "/subscriptions/" + strings.ToLower(id), "/subscriptions/%00"} {
		for _, request := range [][3]string{
			{"GET", path, ""}, {"DELETE", path, ""},
			{"PUT", path, `{"events":["task.create"]}`}, {"PATCH", path, `{"status":"paused"}`},
			{"POST", path + "/pause", ""}, {"POST", path + "/resume", ""}, {"POST", path + "/secret", ""},
		} {
			e.do("bob", request[0], request[1], request[2]).is(t, http.StatusNotFound, "subscription_unknown")
		}
	}
	if after := e.rows("SELECT * FROM connector_subscriptions"); !slices.Equal(before, after) {
		t.Errorf("changed: %q", after)
	}
}

func TestUsers(t *testing.T) {
	e := start(t, site)
	got := e.do("", "GET", "/subscriptions", "")
	if got.is(t, http.StatusUnauthorized, "user_missing"); got.Header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	e.do("", "POST", "/subscriptions", "{}").is(t, http.StatusUnauthorized, "user_missing")
	e.do("", "POST", "/subscriptions/x/pause", "").is(t, http.StatusUnauthorized, "user_missing")
	e.do("a b", "GET", "/subscriptions", "").is(t, http.StatusForbidden, "user_invalid")
	e.do(strings.Repeat("a", 256), "GET", "/subscriptions", "").is(t, http.StatusForbidden, "user_invalid")
}

func TestRoutes(t *testing.T) {
	e := start(t, site)
	for path, allow := range map[string]string{
		"/subscriptions": "GET, HEAD, POST", "/subscriptions/x": "DELETE, GET, HEAD, PATCH, PUT", "/subscriptions/x/pause": "POST",
		"/subscriptions/x/resume": "POST", "/subscriptions/x/secret": "POST",
	} {
		got := e.do("alice", "OPTIONS", path, "")
		if got.is(t, http.StatusMethodNotAllowed, "method_not_allowed"); got.Header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q", path, got.Header.Get("Allow"))
		}
	}
	for _, path := range []string{
		"/", "/subscription", "/subscriptionsx", "/subscriptions/", "/subscriptions//pause", "/subscriptions/x/", "/subscriptions/x/other",
		"/subscriptions/x/pause/", "/Subscriptions", "/%73ubscriptions", "/x/subscriptions", "/subscriptions/x/%70ause",
	} {
		e.do("alice", "GET", path, "").is(t, 299, "")
	}
}

func TestPrefix(t *testing.T) {
	e := start(t, strings.Replace(site, "allow_http", "prefix /api/v1", 1))
	got := e.do("alice", "POST", "/api/v1/subscriptions", members("target_url", target, "resource_type", "task", "resource_id", "p1", "events", []string{"*"}))
	if got.is(t, http.StatusCreated, ""); got.Header.Get("Location") != "/api/v1/subscriptions/"+got.id() {
		t.Errorf("location %q", got.Header.Get("Location"))
	}
	e.do("alice", "GET", got.Header.Get("Location"), "").is(t, http.StatusOK, "")
	e.do("alice", "GET", "/subscriptions", "").is(t, 299, "")

	e.load("", "handle_path /outer/* {\n"+site+"\n}")
	got = e.do("alice", "POST", "/outer/subscriptions", members("target_url", target, "resource_type", "task", "resource_id", "p2", "events", []string{"*"}))
	if got.is(t, http.StatusCreated, ""); got.Header.Get("Location") != "/outer/subscriptions/"+got.id() {
		t.Errorf("location %q", got.Header.Get("Location"))
	}
}

func TestPagesOfOtherSites(t *testing.T) {
	e := start(t, site)
	path := "/subscriptions/" + e.subscribe("alice", "p1").id()
	for _, action := range []string{"/pause", "/resume", "/secret"} {
		e.do("alice", "POST", path+action, "", "Sec-Fetch-Site: cross-site").is(t, http.StatusForbidden, "cross_origin")
		e.do("alice", "POST", path+action, "", "Origin: https://evil.example").is(t, http.StatusForbidden, "cross_origin")
		e.do("alice", "POST", path+action, "", "Sec-Fetch-Site: same-origin").is(t, http.StatusOK, "")
	}
}

func TestChange(t *testing.T) {
	e := start(t, site)
	created := e.subscribe("alice", "p1")
	path := "/subscriptions/" + created.id()
	delete(created.body, "secret")
	for _, test := range []struct {
		method, action, body string
		want                 map[string]any
	}{
		{"PUT", "", `{"events":["task.update","task.create"]}`, map[string]any{"events": []any{"task.create", "task.update"}}},
		{"PUT", "", `{"events":["task.*"],"status":"paused","ordered":true}`, map[string]any{"events": []any{"task.*"}}},
		{"PATCH", "", `{"status":"paused"}`, map[string]any{"status": "paused"}},
		{"PATCH", "", `{"status":"active","ordered":true,"events":["*"]}`, map[string]any{"status": "active", "ordered": true, "events": []any{"*"}}},
		{"PATCH", "", `{"ordered":false,"target_url":"https://elsewhere"}`, map[string]any{"ordered": false}},
		{"POST", "/pause", "", map[string]any{"status": "paused"}},
		{"POST", "/pause", "", map[string]any{"status": "paused"}},
		{"POST", "/resume", "", map[string]any{"status": "active"}},
	} {
		got := e.do("alice", test.method, path+test.action, test.body)
		got.is(t, http.StatusOK, "")
		if before, after := created.time("updated_at"), got.time("updated_at"); after.Before(before) {
			t.Errorf("updated_at went from %v to %v", before, after)
		}
		for name, value := range test.want {
			created.body[name] = value
		}
		created.body["updated_at"] = got.body["updated_at"]
		for _, shown := range []reply{got, e.do("alice", "GET", path, "")} {
			if !reflect.DeepEqual(shown.body, created.body) {
				t.Fatalf("%s %s: got %v, want %v", test.method, test.body, shown.body, created.body)
			}
		}
	}
}

func TestChangeRefuses(t *testing.T) {
	e := start(t, site)
	path := "/subscriptions/" + e.subscribe("alice", "p1").id()
	e.subscribe("alice", "p1", "events", []string{"task.*"})
	before := e.rows("SELECT * FROM connector_subscriptions ORDER BY id")
	for _, test := range []struct {
		method, body string
		status       int
		code         string
	}{
		{"PUT", `{}`, 422, "events_missing"},
		{"PUT", `{"status":"paused"}`, 422, "events_missing"},
		{"PUT", `{"events":[]}`, 422, "events_missing"},
		{"PUT", `{"events":["x"]}`, 422, "events_unknown"},
		{"PUT", `{"events":["task.*"]}`, 409, "subscription_exists"},
		{"PATCH", `{}`, 422, "change_missing"},
		{"PATCH", `{"target_url":"https://elsewhere"}`, 422, "change_missing"},
		{"PATCH", `{"events":[]}`, 422, "events_missing"},
		{"PATCH", `{"events":["task.*"]}`, 409, "subscription_exists"},
		{"PATCH", `{"status":"ended"}`, 422, "status_invalid"},
		{"PATCH", `{"status":1}`, 422, "status_invalid"},
		{"PATCH", `{"ordered":1}`, 422, "ordered_invalid"},
		{"PATCH", `[]`, 400, "body_invalid"},
		{"PATCH", ``, 415, "media_type_unsupported"},
	} {
		e.do("alice", test.method, path, test.body).is(t, test.status, test.code)
	}
	if after := e.rows("SELECT * FROM connector_subscriptions ORDER BY id"); !slices.Equal(before, after) {
		t.Errorf("changed: %q", after)
	}
}

func TestWhatHasEnded(t *testing.T) {
	e := start(t, site)
	id := e.subscribe("alice", "p1").id()
	path := "/subscriptions/" + id
	e.exec("UPDATE connector_subscriptions SET status = 'ended' WHERE id = $1", id)
	for _, request := range [][3]string{
		{"PUT", "", `{"events":["task.create"]}`}, {"PATCH", "", `{"status":"active"}`}, {"POST", "/pause", ""}, {"POST", "/resume", ""}, {"POST", "/secret", ""},
	} {
		e.do("alice", request[0], path+request[1], request[2]).is(t, http.StatusConflict, "subscription_ended")
	}
	if got := e.do("alice", "GET", path, ""); got.body["status"] != "ended" {
		t.Errorf("status %v", got.body["status"])
	}
	e.do("alice", "DELETE", path, "").is(t, http.StatusNoContent, "")
}

func TestDelete(t *testing.T) {
	e := start(t, site)
	id, other := e.subscribe("alice", "p1").id(), e.subscribe("bob", "p1").id()
	for _, one := range []string{id, other} {
		e.exec(`INSERT INTO connector_deliveries (event_id, subscription_id, state, attempts, since, due, node) VALUES
			('evt_0', $1, 0, 0, 0, 9000000000000000, NULL), ('evt_1', $1, 0, 0, 0, 9000000000000000, 'somebody'),
			('evt_2', $1, 1, 1, 0, 0, NULL), ('evt_3', $1, 2, 9, 0, 0, NULL)`, one)
	}
	got := e.do("alice", "DELETE", "/subscriptions/"+id, "")
	if got.is(t, http.StatusNoContent, ""); got.text != "" {
		t.Errorf("body %q", got.text)
	}
	for one, want := range map[string][]string{
		id: {"evt_0|3|", "evt_1|3|", "evt_2|1|", "evt_3|2|"}, other: {"evt_0|0|", "evt_1|0|somebody", "evt_2|1|", "evt_3|2|"},
	} {
		rows := e.rows("SELECT event_id, state, node FROM connector_deliveries WHERE subscription_id = $1 ORDER BY event_id", one)
		if !slices.Equal(rows, want) {
			t.Errorf("deliveries: %q, want %q", rows, want)
		}
	}
	if rows := e.rows("SELECT id FROM connector_subscriptions"); !slices.Equal(rows, []string{other}) {
		t.Errorf("subscriptions: %q", rows)
	}
	e.do("alice", "DELETE", "/subscriptions/"+id, "").is(t, http.StatusNotFound, "subscription_unknown")
	e.do("alice", "GET", "/subscriptions/"+id, "").is(t, http.StatusNotFound, "subscription_unknown")
}

func TestRotate(t *testing.T) {
	e := start(t, site)
	created := e.subscribe("alice", "p1", "secret", signature.NewSecret().Reveal())
	want := []string{created.body["secret"].(string)}
	for range signature.MaxSignatures + 1 {
		got := e.do("alice", "POST", "/subscriptions/"+created.id()+"/secret", "")
		if got.is(t, http.StatusOK, ""); len(got.body) != 1 {
			t.Fatalf("answer %v", got.body)
		}
		want = slices.Insert(want, 0, got.body["secret"].(string))
		want = want[:min(len(want), signature.MaxSignatures)]
		if secrets := e.secrets(created.id()); !slices.Equal(secrets, want) {
			t.Fatalf("%d secrets, want %d", len(secrets), len(want))
		}
	}
}
