package subscriptions

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Users subscribe to what the app shows them, as the ids are written there.
func TestSubscribeToWhatIsSeen(t *testing.T) {
	a := newApp(t, lists(projects))
	e := start(t, with("from "+a.URL))
	for _, test := range []struct {
		user string
		id   any
		seen bool
	}{
		{"alice", "p1", true}, {"alice", "p2", true}, {"alice", 12, true}, {"alice", "12", true}, {"alice", "ünï", true},
		{"alice", "P1", false}, {"alice", "p1 ", false}, {"alice", "p", false}, {"alice", "*", false}, {"alice", "Website", false}, {"alice", "u\u0308ni\u0308", false},
		{"bob", "p1", true}, {"bob", "p2", false}, {"bob", 12, false}, {"carol", "p1", false},
	} {
		got := e.do(test.user, "POST", "/subscriptions", project(test.id))
		if !test.seen {
			got.is(t, 403, "resource_denied")
		} else if got.StatusCode > 201 {
			t.Errorf("%s, %v: %d %s", test.user, test.id, got.StatusCode, got.text)
		}
		if asked := a.asked(); len(asked) != 1 {
			t.Errorf("%s, %v: asked %d times", test.user, test.id, len(asked))
		}
	}
	want := []string{"alice|12", "alice|p1", "alice|p2", "alice|ünï", "bob|p1"}
	if rows := e.rows("SELECT owner, resource_id FROM connector_subscriptions ORDER BY owner, resource_id"); !slices.Equal(rows, want) {
		t.Errorf("stored: %q", rows)
	}
	// nobody is asked for a public type
	e.do("carol", "POST", "/subscriptions", project("any", "resource_type", "task")).is(t, 201, "")
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("asked: %v", asked)
	}
}

// What will be refused anyway is refused before the app is asked.
func TestAppIsNotAskedInVain(t *testing.T) {
	a := newApp(t, lists(projects))
	e := start(t, with("from "+a.URL))
	mine := "/subscriptions/" + e.subscribe("alice", "p1").id()
	ended := "/subscriptions/" + e.subscribe("alice", "p2").id()
	bobs := "/subscriptions/" + e.subscribe("bob", "p1").id()
	e.exec("UPDATE connector_subscriptions SET status = 'ended' WHERE id = $1", strings.TrimPrefix(ended, "/subscriptions/"))
	a.asked()
	for _, test := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/subscriptions", "{", 400, "body_invalid"},
		{"POST", "/subscriptions", project("p1", "target_url", "x"), 422, "target_url_invalid"},
		{"POST", "/subscriptions", project("p1", "events", []string{"x"}), 422, "events_unknown"},
		{"POST", "/subscriptions", project("p1", "resource_type", "team"), 422, "resource_type_unknown"},
		{"POST", "/subscriptions", project(1.5), 422, "resource_id_invalid"},
		{"POST", "/subscriptions", project("p1", "expires_at", "x"), 422, "expires_at_invalid"},
		{"POST", "/subscriptions", project("p1", "expires_at", "2020-01-01T00:00:00Z"), 422, "expires_at_invalid"},
		{"PUT", mine, `{"events":["x"]}`, 422, "events_unknown"},
		{"PATCH", mine, `{}`, 422, "change_missing"},
		{"PUT", bobs, `{"events":["task.create"]}`, 404, "subscription_unknown"},
		{"PATCH", bobs, `{"status":"active"}`, 404, "subscription_unknown"},
		{"POST", bobs + "/resume", "", 404, "subscription_unknown"},
		{"PUT", "/subscriptions/" + newID(), `{"events":["task.create"]}`, 404, "subscription_unknown"},
		{"PUT", ended, `{"events":["task.create"]}`, 409, "subscription_ended"},
		{"POST", ended + "/resume", "", 409, "subscription_ended"},
	} {
		e.do("alice", test.method, test.path, test.body).is(t, test.status, test.code)
		if asked := a.asked(); len(asked) > 0 {
			t.Errorf("%s %s %s: the app was asked", test.method, test.path, test.body)
		}
	}
	e.do("alice", "POST", mine+"/resume", "", "Origin: https://evil.example").is(t, 403, "cross_origin")
	if asked := a.asked(); len(asked) > 0 {
		t.Error("a page of another site has the app asked")
	}
}

// Who no longer sees a resource cannot have its subscriptions go on with a
// change, but can end them.
func TestAccessThatEnds(t *testing.T) {
	a := newApp(t, lists(projects))
	e := start(t, with("from "+a.URL))
	path := "/subscriptions/" + e.subscribe("alice", "p1").id()
	changes := [][3]string{
		{"POST", "/subscriptions", project("p1")}, // the same again
		{"PUT", path, `{"events":["task.create"]}`}, {"PATCH", path, `{"events":["*"]}`}, {"PATCH", path, `{"ordered":false}`},
		{"PATCH", path, `{"status":"active","ordered":false}`}, {"POST", path + "/resume", ""},
	}
	a.asked()
	for _, change := range changes {
		e.do("alice", change[0], change[1], change[2]).is(t, 200, "")
		if asked := a.asked(); len(asked) != 1 {
			t.Errorf("%s %s: asked %d times", change[0], change[2], len(asked))
		}
	}
	before := e.rows("SELECT * FROM connector_subscriptions")
	refuse := func(status int, code string) {
		t.Helper()
		for _, change := range changes {
			e.do("alice", change[0], change[1], change[2]).is(t, status, code)
		}
		if after := e.rows("SELECT * FROM connector_subscriptions"); !slices.Equal(before, after) {
			t.Errorf("changed: %q", after)
		}
	}
	a.answers(lists(nil))
	refuse(403, "resource_denied")
	a.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
	refuse(403, "resources_denied")
	a.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	refuse(502, "resources_failed")
	a.answers(says("{}"))
	refuse(502, "resources_invalid")

	// nobody sees a resource of a type that is gone
	gone := strings.Replace(site, "resource project {", "resource team {", 1)
	e.load("", gone)
	changes = changes[1:]
	refuse(403, "resource_denied")

	e.load("", with("from "+a.URL))
	a.asked()
	for _, request := range [][3]string{
		{"GET", "/subscriptions", ""}, {"GET", path, ""}, {"POST", path + "/secret", ""}, {"POST", path + "/pause", ""},
		{"PATCH", path, `{"status":"paused","events":["task.*"]}`}, {"DELETE", path, ""},
	} {
		if got := e.do("alice", request[0], request[1], request[2]); got.StatusCode/100 != 2 {
			t.Errorf("%s %s: %d %s", request[0], request[1], got.StatusCode, got.text)
		}
	}
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("asked: %v", asked)
	}
}

// What happens to a resource is neither shown nor sent on demand to who no longer
// sees it, also not what a paused subscription has gathered.
func TestAccessToDeliveriesEnds(t *testing.T) {
	a := newApp(t, lists(projects))
	e := start(t, with("from "+a.URL))
	hook := newReceiver(t, nil)
	path := "/subscriptions/" + e.subscribe("alice", "p1", "target_url", hook.URL).id()
	e.do("alice", "POST", path+"/pause", "").is(t, 200, "")
	e.publish("p1", "task.create", `{"secret":"of the project"}`)
	found, _ := e.deliveries(path, "")
	one := "/deliveries/" + found[0]["id"].(string)
	requests := []struct {
		method, path, body string
		status             int
	}{
		{"GET", one, "", 200}, {"HEAD", one, "", 200}, {"POST", path + "/test", "", 200},
		{"POST", one + "/retry", "", 409}, {"POST", path + "/replays", `{"since":"2020-01-01T00:00:00Z"}`, 409},
	}
	a.asked()
	for _, request := range requests {
		e.do("alice", request.method, request.path, request.body).is(t, request.status, "")
		if asked := a.asked(); len(asked) != 1 {
			t.Errorf("%s %s: asked %d times", request.method, request.path, len(asked))
		}
	}
	e.exec("UPDATE connector_subscriptions SET status = 'disabled'") // which a test that succeeds ends
	a.answers(lists(nil))
	for _, request := range requests {
		got := e.do("alice", request.method, request.path, request.body)
		if got.StatusCode != 403 || strings.Contains(got.text, "of the project") {
			t.Errorf("%s %s: %d %s", request.method, request.path, got.StatusCode, got.text)
		}
	}
	if status := e.rows("SELECT status FROM connector_subscriptions")[0]; status != "disabled" {
		t.Errorf("status %s", status)
	}
	if n := len(hook.seen()); n != 1 {
		t.Errorf("%d requests arrived", n)
	}
	a.asked()
	for _, request := range requests { // of others, nothing is asked
		e.do("bob", request.method, request.path, request.body).is(t, 404, "")
	}
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("asked: %v", asked)
	}
}

// The edge's own credentials and the caller's are in no log, document or answer.
func TestResourceSecretsNeverLeak(t *testing.T) {
	const edgeSecret, urlSecret, callerSecret = "s3cret-of-the-edge", "s3cret-in-the-url", "s3cret-of-the-caller"
	t.Setenv("LEAK_EDGE", edgeSecret)
	t.Setenv("LEAK_URL", urlSecret)
	a := newApp(t, nil)
	var answers strings.Builder
	logging := func(from string) string {
		return "log\n" + with("from "+from+"/?key={env.LEAK_URL}", "header X-Api-Key {env.LEAK_EDGE}", "header X-Other \"Token {env.LEAK_EDGE}\"", "forward_credentials")
	}
	e := start(t, logging(a.URL))
	ask := func() {
		for _, request := range [][3]string{{"GET", "/resources/project?q=x", ""}, {"POST", "/subscriptions", project("p1")}} {
			got := e.do("alice", request[0], request[1], request[2], "Authorization: Bearer "+callerSecret, "Cookie: session="+callerSecret)
			answers.WriteString(got.text)
			for name, values := range got.Header {
				answers.WriteString(name + strings.Join(values, " "))
			}
		}
	}
	for _, kind := range []string{"status", "redirect", "body", "member", "link", "cut", "encoding"} {
		a.answers(func(w http.ResponseWriter, r *http.Request) {
			told := strings.Join(r.Header["X-Api-Key"], "") + strings.Join(r.Header["Authorization"], "") + r.URL.RawQuery
			w.Header().Set("X-Echo", told)
			switch kind {
			case "status":
				w.WriteHeader(500)
			case "redirect":
				w.Header().Set("Location", "/"+told)
				w.WriteHeader(302)
			case "member":
				told = `[{"id":"p1","` + told + `":1}]`
			case "link":
				w.Header().Set("Link", "<https://evil.example/"+told+">; rel=next")
				told = "[]"
			case "cut":
				w.Header().Set("Content-Length", "9999")
			case "encoding":
				w.Header().Set("Content-Encoding", "gzip")
			}
			_, _ = w.Write([]byte(told))
		})
		ask()
		if asked := a.asked(); len(asked) != 2 || asked[0].Header.Get("X-Other") != "Token "+edgeSecret || asked[1].Header.Get("Authorization") != "Bearer "+callerSecret {
			t.Fatalf("%s: asked %v, so nothing was tested", kind, asked)
		}
	}
	admin := &edge{t: t, addr: e.admin}
	answers.WriteString(admin.do("", "GET", "/config/", "").text + admin.do("", "GET", "/metrics", "").text)
	e.load("", logging("http://"+freeAddr(t)))
	ask()
	adapted, err := adapt(":80 {\n" + logging(a.URL) + "\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	logs := e.logs()
	for place, text := range map[string]string{"a log": logs, "an answer": answers.String(), "the adapted config": string(adapted)} {
		for _, secret := range []string{edgeSecret, urlSecret, callerSecret} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the %s", place, secret)
			}
		}
	}
	for _, want := range []string{`"uri":"/resources/project?q=x"`, "looking up resources failed", "the app answered 500", "leads elsewhere", "connection refused"} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log lacks %s, so nothing was tested", want)
		}
	}
	if !strings.Contains(answers.String(), "{env.LEAK_EDGE}") || !strings.Contains(answers.String(), "caddy_subscriptions_resource_lookups_total") {
		t.Error("the admin API's answers lack what is to be tested")
	}
}
