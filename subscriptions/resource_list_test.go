package subscriptions

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

var projects = map[string][][2]any{
	"alice": {{"p2", "Website"}, {"p1", "Wiki & <b>"}, {12, 2024}, {"ünï", "ÜBER"}, {"p2", "Website again"}, {"p9", ""}},
	"bob":   {{"p1", "Wiki"}},
}

// choices reads an array of resources, or the data in an envelope.
func (r reply) choices(t *testing.T) (ids []string) {
	t.Helper()
	r.is(t, 200, "")
	text := []byte(r.text)
	if r.body != nil {
		text, _ = json.Marshal(r.body["data"])
	}
	var found []choice
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatalf("%v: %s", err, r.text)
	}
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

// nextLink returns the target of an answer's Link header, or "".
func (r reply) nextLink(t *testing.T) string {
	t.Helper()
	link := r.Header.Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !ok || len(r.Header["Link"]) != 1 {
		t.Fatalf("link %q", r.Header["Link"])
	}
	return target
}

// Users see what the app shows them, in its order, with an id and a label.
func TestListResources(t *testing.T) {
	a := newApp(t, lists(projects))
	e := start(t, with("from "+a.URL))
	got := e.do("alice", "GET", "/resources/project", "")
	want := `[{"id":"p2","value":"Website"},{"id":"p1","value":"Wiki & <b>"},{"id":"12","value":"2024"},{"id":"ünï","value":"ÜBER"},{"id":"p9","value":""}]` + "\n"
	if got.is(t, 200, ""); got.text != want {
		t.Errorf("got %s\nwant %s", got.text, want)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Link": "", "X-Content-Type-Options": "nosniff"} {
		if got.Header.Get(name) != value {
			t.Errorf("%s: %q", name, got.Header.Get(name))
		}
	}
	if head := e.do("alice", "HEAD", "/resources/project", ""); head.StatusCode != 200 || head.text != "" || head.ContentLength != int64(len(want)) {
		t.Errorf("HEAD: %d, %d bytes", head.StatusCode, head.ContentLength)
	}
	if got := e.do("bob", "GET", "/resources/project", ""); got.text != `[{"id":"p1","value":"Wiki"}]`+"\n" {
		t.Errorf("bob got %s", got.text)
	}
	if got := e.do("carol", "GET", "/resources/project?envelope=1", ""); got.text != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("carol got %s", got.text)
	}

	a.answers(says(`[{"id":"x","value":"y","key":7,"name":"Seven"}]`))
	e.load("", with("from "+a.URL, "id key", "value name"))
	if got := e.do("alice", "GET", "/resources/project", ""); got.text != `[{"id":"7","value":"Seven"}]`+"\n" {
		t.Errorf("with other members: %s", got.text)
	}
	e.do("alice", "POST", "/subscriptions", project("x")).is(t, 403, "resource_denied")
	e.do("alice", "POST", "/subscriptions", project("7")).is(t, 201, "")
}

// Pages are as large as they are asked to be, and lead to each other until the
// end, also where only a part is looked for.
func TestListResourcesPages(t *testing.T) {
	a := newApp(t, lists(projects))
	e := start(t, with("from "+a.URL))
	for query, want := range map[string][]string{
		"": {"p2", "p1", "12", "ünï", "p9"}, "&q=": {"p2", "p1", "12", "ünï", "p9"}, "&q=W": {"p2", "p1"}, "&q=wI": {"p1"}, "&q=%26+%3C": {"p1"},
		"&q=%C3%BCb": {"ünï"}, "&q=02": {"12"}, "&q=again": nil, "&q=.*": nil, "&q=p2": nil,
	} {
		for limit := 1; limit <= 6; limit++ {
			for _, envelope := range []string{"", "&envelope=1"} {
				var ids []string
				count := 0
				for path := fmt.Sprintf("/resources/project?limit=%d%s%s", limit, query, envelope); path != ""; count++ {
					got := e.do("alice", "GET", path, "")
					page := got.choices(t)
					if ids = append(ids, page...); len(page) > limit || count > 5 {
						t.Fatalf("%s: page %q", path, page)
					}
					path = got.nextLink(t)
					if (envelope != "") != (got.body != nil) {
						t.Fatalf("%s: %s", path, got.text)
					}
					if envelope == "" {
						continue
					}
					next, _ := url.Parse(path)
					if cursor, _ := got.body["next_cursor"].(string); cursor != next.Query().Get("cursor") || (cursor == "") != (got.body["next_cursor"] == nil) {
						t.Errorf("next_cursor %v, link %s", got.body["next_cursor"], path)
					}
				}
				if wantCount := max(1, (len(want)+limit-1)/limit); !slices.Equal(ids, want) || count != wantCount {
					t.Errorf("%q, limit %d: %d pages of %q, want %d of %q", query, limit, count, ids, wantCount, want)
				}
			}
		}
	}

	// by default there are 50, and at most 100
	a.answers(says("[" + many(0, 150) + "]"))
	for query, count := range map[string]int{"": 50, "?limit=100": 100} {
		if ids := e.do("alice", "GET", "/resources/project"+query, "").choices(t); len(ids) != count || ids[count-1] != fmt.Sprint(count-1) {
			t.Errorf("%q: %d", query, len(ids))
		}
	}
}

// A cursor that cannot be one is refused before the app is asked; one whose
// resource has vanished, after.
func TestListResourcesRefuses(t *testing.T) {
	a := newApp(t, lists(projects))
	e := start(t, with("from "+a.URL))
	for query, code := range map[string]string{
		"limit=0": "limit_invalid", "limit=101": "limit_invalid", "limit=": "limit_invalid", "limit=x": "limit_invalid", "limit=-1": "limit_invalid",
		"cursor=p2": "cursor_invalid", "cursor=%00": "cursor_invalid", "cursor=!": "cursor_invalid", "cursor=cDI=": "cursor_invalid", "cursor=cDJ": "cursor_invalid",
		"cursor=" + cursorBehind("\xff"): "cursor_invalid", "cursor=" + cursorBehind("a\x00"): "cursor_invalid", "cursor=" + cursorBehind(strings.Repeat("x", 256)): "cursor_invalid",
		"q=" + strings.Repeat("x", 256): "q_invalid", "q=%ff": "q_invalid",
	} {
		e.do("alice", "GET", "/resources/project?"+query, "").is(t, 400, code)
		if asked := a.asked(); len(asked) > 0 {
			t.Errorf("%s: the app was asked", query)
		}
	}
	e.do("alice", "GET", "/resources/project?q="+strings.Repeat("%C3%BC", 255), "").is(t, 200, "")
	cursor := "/resources/project?cursor=" + cursorBehind("p2")
	if ids := e.do("alice", "GET", cursor, "").choices(t); !slices.Equal(ids, []string{"p1", "12", "ünï", "p9"}) {
		t.Errorf("behind p2: %q", ids)
	}
	e.do("bob", "GET", cursor, "").is(t, 400, "cursor_invalid")
	a.answers(lists(map[string][][2]any{"alice": {{"p1", "Wiki"}}}))
	e.do("alice", "GET", cursor, "").is(t, 400, "cursor_invalid")
	a.asked()

	for path, code := range map[string]string{
		"/resources/team": "resource_type_unknown", "/resources/Project": "resource_type_unknown", "/resources/pro%6Aect": "resource_type_unknown",
		"/resources/task": "resource_type_not_listed", "/resources/task?limit=x": "resource_type_not_listed",
	} {
		e.do("alice", "GET", path, "").is(t, 404, code)
	}
	for _, path := range []string{"/resources", "/resources/", "/resources/project/", "/resources/project/p1"} {
		e.do("alice", "GET", path, "").is(t, 299, "")
	}
	got := e.do("alice", "POST", "/resources/project", "{}")
	if got.is(t, 405, "method_not_allowed"); got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow %q", got.Header.Get("Allow"))
	}
	e.do("", "GET", "/resources/project", "").is(t, 401, "user_missing")
	e.do("a b", "GET", "/resources/project", "").is(t, 403, "user_invalid")
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("asked: %v", asked)
	}
}

// The link to the next page is one that the client can follow.
func TestListResourcesBehindPaths(t *testing.T) {
	a := newApp(t, lists(projects))
	listing := with("from " + a.URL)
	prefixed := strings.Replace(listing, "allow_http", "prefix /api/v1", 1)
	e := start(t, listing)
	for path, site := range map[string]string{
		"/resources/project":              listing,
		"/api/v1/resources/project":       prefixed,
		"/outer/resources/project":        "handle_path /outer/* {\n" + listing + "\n}",
		"/outer/api/v1/resources/project": "handle_path /outer/* {\n" + prefixed + "\n}",
		"/%6Futer/resources/project":      "handle_path /outer/* {\n" + listing + "\n}",
		"/public/projects.json":           "rewrite /public/projects.json /resources/project?{query}\n" + listing,
	} {
		e.load("", site)
		got := e.do("alice", "GET", path+"?limit=1&q=W&other=x", "")
		next := got.nextLink(t)
		if path == "/public/projects.json" {
			path = "/resources/project" // nobody knows what else leads there
		}
		if want := path + "?cursor=" + cursorBehind("p2") + "&limit=1&q=W"; next != want {
			t.Errorf("%s leads to %s, want %s", path, next, want)
		}
		if ids := e.do("alice", "GET", next, "").choices(t); !slices.Equal(ids, []string{"p1"}) {
			t.Errorf("%s: next are %q", path, ids)
		}
	}
}
