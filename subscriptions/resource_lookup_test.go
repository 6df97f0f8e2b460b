package subscriptions

import (
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What an app is asked is the user, with the edge's own credentials and nothing
// else of the caller's request, unless the config says so.
func TestLookupAsks(t *testing.T) {
	t.Setenv("APP_TOKEN", "t0ken")
	a := newApp(t, says("[]"))
	t.Setenv("APP_URL", a.URL)
	caller := []string{
		"Cookie: session=1", "Authorization: Bearer hers", "X-User-Id: mallory", "X-Extra: mallory", "X-Forwarded-For: 192.0.2.1",
		"Accept: text/html", "User-Agent: browser", "Connection: X-User-Id, Authorization", "Proxy-Authorization: Basic eA==",
	}
	e := start(t, site)
	for _, test := range []struct {
		words  string
		uri    string
		header http.Header
	}{
		{a.URL + "/projects", "/projects", http.Header{"X-User-Id": {"alice"}}},
		{a.URL, "/", http.Header{"X-User-Id": {"alice"}}},
		{"{env.APP_URL}/projects", "/projects", http.Header{"X-User-Id": {"alice"}}},
		{a.URL + "/users/{user_id}/projects?u={user_id}&k={env.APP_TOKEN}&b=%2F\nuser_header x-agent", "/users/alice/projects?u=alice&k=t0ken&b=%2F", http.Header{"X-Agent": {"alice"}}},
		{a.URL + "/projects\nheader authorization \"Bearer {env.APP_TOKEN}\"\nheader X-Extra \"a b\"\nheader Accept application/hal+json", "/projects",
			http.Header{"X-User-Id": {"alice"}, "Authorization": {"Bearer t0ken"}, "X-Extra": {"a b"}, "Accept": {"application/hal+json"}}},
		{a.URL + "/projects\nforward_credentials\nheader X-Extra {env.APP_TOKEN}", "/projects",
			http.Header{"X-User-Id": {"alice"}, "Authorization": {"Bearer hers"}, "Cookie": {"session=1"}, "X-Extra": {"t0ken"}}},
		{a.URL + "/projects\ntransport http {\ncompression off\n}", "/projects", http.Header{"X-User-Id": {"alice"}, "Accept-Encoding": nil}},
	} {
		e.load("", with("from "+test.words))
		want := http.Header{"Accept": {"application/json"}, "User-Agent": {"caddy-connector"}, "Accept-Encoding": {"gzip"}}
		maps.Copy(want, test.header)
		maps.DeleteFunc(want, func(_ string, values []string) bool { return values == nil })
		got := e.do("alice", "GET", "/resources/project", "", caller...)
		if got.is(t, 200, ""); got.text != "[]\n" {
			t.Errorf("answer %s", got.text)
		}
		asked := a.asked()
		if len(asked) != 1 || asked[0].Method != "GET" || asked[0].RequestURI != test.uri || !maps.EqualFunc(asked[0].Header, want, slices.Equal[[]string]) {
			t.Errorf("%s: asked %v", test.words, asked)
		}
	}
}

// No user's id changes what is asked.
func TestLookupUserIDs(t *testing.T) {
	a := newApp(t, says("[]"))
	e := start(t, with("from "+a.URL+"/{user_id}/projects?{user_id}"))
	for id, want := range map[string]string{
		"alice": "/alice/projects?alice", "a@b.c": "/a%40b.c/projects?a%40b.c", "a/b": "/a%2Fb/projects?a%2Fb", "a?b#c": "/a%3Fb%23c/projects?a%3Fb%23c",
		"a%2fb": "/a%252fb/projects?a%252fb", "a&b=c+d": "/a%26b%3Dc%2Bd/projects?a%26b%3Dc%2Bd", "{env.HOME}": "/%7Benv.HOME%7D/projects?%7Benv.HOME%7D",
		"//evil/": "/%2F%2Fevil%2F/projects?%2F%2Fevil%2F", "{user_id}": "/%7Buser_id%7D/projects?%7Buser_id%7D",
		"..": "", ".": "", "../bob": "", "a/../b": "", "..;a": "", "%2e%2e": "", `..\b`: "", "a%00b": "",
	} {
		got := e.do(id, "GET", "/resources/project", "")
		asked := a.asked()
		if want == "" {
			if got.is(t, 403, "resources_denied"); len(asked) > 0 {
				t.Errorf("%q: asked %s", id, asked[0].RequestURI)
			}
			continue
		}
		if len(asked) != 1 || asked[0].RequestURI != want || asked[0].Header.Get("X-User-Id") != id {
			t.Errorf("%q: asked %v", id, asked)
		}
	}
	e.load("", with("from "+a.URL+"/projects?u={user_id}")) // in a query dots are just dots
	e.do("..", "GET", "/resources/project", "").is(t, 200, "")
}

// An answer that is not what it must be is none, and the user is told nothing of
// it.
func TestLookupAnswers(t *testing.T) {
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`[{"id":"evil","value":"evil"}]`))
		}
	}
	const good = `{"id":"p1","value":"One"}`
	answers := map[string][]http.HandlerFunc{
		"": {
			says("[]"), says(" [" + good + "]\n"), says(`[{"id":12,"value":3.5},{"id":-1,"value":""}]`), says(`[{"id":"a","value":"b","more":{"x":[null]}}]`),
			says("[" + good + strings.Repeat(" ", maxLookupPage-len(good)-2) + "]"),
		},
		"resources_denied": {status(401), status(403)},
		"resources_failed": {
			status(201), status(202), status(206), status(301, "Location", "/moved"), status(302, "Location", "/moved"), status(307, "Location", "/moved"),
			status(308, "Location", "/moved"), status(400), status(404), status(410), status(429, "Retry-After", "7"), status(500), status(503),
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "99")
				_, _ = w.Write([]byte("[" + good))
			},
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write([]byte("[" + good + "] evil"))
			},
		},
		"resources_invalid": {
			says(""), says("evil"), says("null"), says("{}"), says(`"evil"`), says("1"), says(`{"data":[` + good + `]}`), says("[" + good), says("[" + good + ",]"),
			says("[" + good + " " + good + "]"), says("[" + good + "]]"), says("[" + good + "][]"), says("\ufeff[" + good + "]"),
			says("[[]]"), says("[null]"), says(`["p1"]`), says("[1]"), says("[" + good + `,"p2"]`),
			says("[{}]"), says(`[{"id":"p1"}]`), says(`[{"value":"One"}]`), says(`[{"ID":"p1","Value":"One"}]`), says("[" + good + `,{"id":"p2"}]`),
			says(`[{"id":"","value":"One"}]`), says(`[{"id":null,"value":"One"}]`), says(`[{"id":true,"value":"One"}]`), says(`[{"id":1.5,"value":"One"}]`),
			says(`[{"id":1e3,"value":"One"}]`), says(`[{"id":["p1"],"value":"One"}]`), says(`[{"id":"a\u0000","value":"One"}]`),
			says(`[{"id":"` + strings.Repeat("ü", 256) + `","value":"One"}]`),
			says(`[{"id":"p1","value":null}]`), says(`[{"id":"p1","value":true}]`), says(`[{"id":"p1","value":["One"]}]`), says(`[{"id":"p1","value":{}}]`),
			says("[{\"id\":\"p1\",\"value\":\"\xff\"}]"),
			says("[" + good + strings.Repeat(" ", maxLookupPage-len(good)-1) + "]"),
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, "[%s]", many(0, maxLookupResources+1))
			},
		},
	}
	a := newApp(t, nil)
	e := start(t, with("from "+a.URL+"/projects"))
	for code, handlers := range answers {
		outcome, want := "ok", 200
		switch code {
		case "resources_denied":
			outcome, want = "denied", 403
		case "resources_failed":
			outcome, want = "failed", 502
		case "resources_invalid":
			outcome, want = "invalid", 502
		}
		before := e.lookups(outcome)
		for i, handler := range handlers {
			a.answers(handler)
			got := e.do("alice", "GET", "/resources/project", "")
			if got.StatusCode != want || code != "" && got.body["code"] != code || strings.Contains(got.text+fmt.Sprint(got.Header), "evil") {
				t.Errorf("%s %d: %d %s", code, i, got.StatusCode, got.text)
			}
			subscribed := e.do("alice", "POST", "/subscriptions", project("p404"))
			if code == "" {
				code = "resource_denied"
				subscribed.is(t, 403, code)
				code = ""
			} else {
				subscribed.is(t, want, code)
			}
			for _, request := range a.asked() {
				if request.URL.Path != "/projects" {
					t.Errorf("%s %d: followed to %s", code, i, request.URL)
				}
			}
		}
		if got := e.lookups(outcome); got != fmt.Sprint(number64(t, before)+2*float64(len(handlers))) {
			t.Errorf("%s was counted %s times after %s", outcome, got, before)
		}
	}
	logs := e.logs()
	if strings.Contains(logs, "evil") {
		t.Error("the log has the app's answer")
	}
	for _, want := range []string{
		`"resource":"project","reason":"resources_failed","error":"the app answered 503"`, `"reason":"resources_denied","error":"the app answered 401"`,
		"not a JSON array", "an item that is no object", "an item without an id", "an item without a label", "is too large", "too many resources", "is malformed",
	} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if rows := e.rows("SELECT id FROM connector_subscriptions"); len(rows) > 0 {
		t.Errorf("stored: %v", rows)
	}
}

// A user whom the app does not know sees nothing.
func TestLookupUnknownUser(t *testing.T) {
	a := newApp(t, http.NotFound)
	e := start(t, with("from "+a.URL+"/users/{user_id}/projects"))
	if got := e.do("alice", "GET", "/resources/project", ""); got.StatusCode != 200 || got.text != "[]\n" {
		t.Errorf("answer %d %s", got.StatusCode, got.text)
	}
	e.do("alice", "POST", "/subscriptions", project("p1")).is(t, 403, "resource_denied")
	a.answers(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", `<?page=2>; rel="next"`)
		if r.URL.RawQuery != "" {
			w.WriteHeader(404) // a page that was promised is something else
		}
		_, _ = w.Write([]byte("[]"))
	})
	e.do("alice", "GET", "/resources/project", "").is(t, 502, "resources_failed")
}

// The time is for all pages, with their bodies. A transport's own may be shorter.
func TestLookupTimeouts(t *testing.T) {
	defer func(before time.Duration) { lookupTimeout = before }(lookupTimeout)
	wait := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, test := range map[string]struct {
		timeout time.Duration
		words   string
		answer  http.HandlerFunc
	}{
		"header": {300 * time.Millisecond, "", wait},
		"body": {300 * time.Millisecond, "", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("[{"))
			_ = http.NewResponseController(w).Flush()
			wait(w, r)
		}},
		"pages": {300 * time.Millisecond, "", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Millisecond)
			w.Header().Set("Link", fmt.Sprintf(`<?%s1>; rel=next`, r.URL.RawQuery))
			_, _ = w.Write([]byte("[]"))
		}},
		"transport": {time.Minute, "transport http {\nresponse_header_timeout 50ms\n}", wait},
	} {
		t.Run(name, func(t *testing.T) {
			lookupTimeout = test.timeout
			e := start(t, with("from "+newApp(t, test.answer).URL, test.words))
			before := number64(t, e.lookups("timeout"))
			got := e.do("alice", "GET", "/resources/project", "")
			if got.is(t, 504, "resources_timeout"); got.Header.Get("Proxy-Status") != "caddy-connector; error=http_response_timeout" {
				t.Errorf("Proxy-Status %s", got.Header.Get("Proxy-Status"))
			}
			if after := number64(t, e.lookups("timeout")); after != before+1 {
				t.Errorf("counted %v times", after-before)
			}
		})
	}
}

// A client that leaves ends the lookup.
func TestLookupClientGone(t *testing.T) {
	left := make(chan struct{})
	a := newApp(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(left)
	})
	e := start(t, with("from "+a.URL))
	before := number64(t, e.lookups("client_gone"))
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+e.addr+"/resources/project", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-User", "alice")
	go func() {
		eventually(t, "the question", func() bool { return len(a.asked()) > 0 })
		cancel()
	}()
	if res, err := client.Do(request); err == nil {
		res.Body.Close()
		t.Errorf("answer %d", res.StatusCode)
	}
	<-left
	eventually(t, "the count", func() bool { return number64(t, e.lookups("client_gone")) == before+1 })
	if strings.Contains(e.logs(), "looking up resources failed") {
		t.Error("it is logged as a failure of the app")
	}
}

func TestLookupConnections(t *testing.T) {
	secure := httptest.NewTLSServer(lists(map[string][][2]any{"alice": {{"p1", "One"}}}))
	defer secure.Close()
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(trusted, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, with("from "+secure.URL, "transport http {\ntls_trust_pool file "+trusted+"\n}"))
	e.do("alice", "GET", "/resources/project", "").is(t, 200, "")
	away := freeAddr(t)
	for _, from := range []string{secure.URL, "http://" + away, "http://no-such-host.invalid"} {
		e.load("", with("from "+from))
		got := e.do("alice", "GET", "/resources/project", "")
		if got.is(t, 502, "resources_failed"); strings.Contains(got.text, away) {
			t.Errorf("answer %s", got.text)
		}
	}
}
