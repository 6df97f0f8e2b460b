package connections

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// A test is made with a connection of the caller's own, to this API.
func TestConnectorTestIsolation(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(a.documented(t, "shop", "auth none", two) + a.documented(t, "other", "auth none", two) + a.block("plain", "auth none"))
		id, plain := e.connected("alice", "shop", `{"name":"mine"}`), e.connected("alice", "plain", `{"name":"mine"}`)
		body := func(id string) string { return `{"connection_id":"` + id + `"}` }
		want := e.do("alice", "GET", placeOf("shop", ulidOfNobody), "").text
		for _, to := range [][3]string{{"bob", "shop", id}, {"alice", "other", id}, {"alice", "shop", plain}, {"alice", "shop", ulidOfNobody}, {"alice", "shop", "x"}, {"alice", "shop", ""}} {
			// what else is wrong is not told of what is not there
			for _, sent := range []string{body(to[2]), `{"connection_id":"` + to[2] + `","operations":7}`} {
				got := e.do(to[0], "POST", testOf(to[1]), sent)
				if got.is(t, http.StatusNotFound, "connection_unknown"); got.text != want {
					t.Errorf("%v: %s", to, got.text)
				}
			}
		}
		e.do("alice", "POST", testOf("plain"), body(plain)).is(t, http.StatusConflict, "test_unsupported")
		e.do("alice", "POST", testOf("none"), body(id)).is(t, http.StatusNotFound, "connector_unknown")
		e.do("", "POST", testOf("shop"), body(id)).is(t, http.StatusUnauthorized, "caller_missing")
		e.do("bob", "POST", "/api/connect/v1/o/alice/connectors/shop/test", body(id)).is(t, http.StatusNotFound, "organisation_unknown")
		if asked := a.seen(); len(asked) > 0 {
			t.Errorf("the API was asked %d times", len(asked))
		}
		e.tries("alice", "shop", id, "").tells(t, "ok", "GET /a 200 ok", "GET /b 200 ok") // it was not used up
	})
}

func TestConnectorTestRefused(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.documented(t, "shop", "auth none", shop))
	id := e.connected("alice", "shop", `{"name":"mine"}`)
	operations := func(list string) string { return `{"connection_id":"` + id + `","operations":` + list + "}" }
	long := strings.Repeat("a", 1025)
	for _, test := range []struct {
		body, code string
		status     int
	}{
		{"", "media_type_unsupported", 415},
		{`[]`, "body_invalid", 400},
		{`{"connection_id":"` + id + `","more":1}`, "member_unknown", 422},
		{`{}`, "connection_id_invalid", 422},
		{`{"connection_id":7}`, "connection_id_invalid", 422},
		{`{"connection_id":"` + strings.Repeat("x", maxRequest) + `"}`, "body_too_large", 413},
		{operations(`null`), "operations_invalid", 422},
		{operations(`[]`), "operations_invalid", 422},
		{operations(`{}`), "operations_invalid", 422},
		{operations(`["Me"]`), "operations_invalid", 422},
		{operations(`[{}]`), "operations_invalid", 422},
		{operations(`[{"operation_id":""}]`), "operations_invalid", 422},
		{operations(`[{"operation_id":null}]`), "operations_invalid", 422},
		{operations(`[{"method":"GET"}]`), "operations_invalid", 422},
		{operations(`[{"path":"/me"}]`), "operations_invalid", 422},
		{operations(`[{"operation_id":"Me","method":"GET","path":"/me"}]`), "operations_invalid", 422},
		{operations(`[{"operation_id":"Me","body":{}}]`), "operations_invalid", 422},
		{operations(`[` + strings.Repeat(`{"operation_id":"Me"},`, maxCalled) + `{"operation_id":"Me"}]`), "operations_invalid", 422},
		{operations(`[{"operation_id":"Me"},{"operation_id":"me"}]`), "operation_unknown", 422},
		{operations(`[{"method":"PUT","path":"/me"}]`), "operation_unknown", 422},
		{operations(`[{"method":"GET","path":"/items/1"}]`), "operation_unknown", 422},
		{operations(`[{"method":"GET","path":"https://evil.example/me"}]`), "operation_unknown", 422},
		{operations(`[{"operation_id":"ShowItem","parameters":null}]`), "parameters_invalid", 422},
		{operations(`[{"operation_id":"ShowItem","parameters":[]}]`), "parameters_invalid", 422},
		{operations(`[{"operation_id":"ShowItem","parameters":{"id":1}}]`), "parameters_invalid", 422},
		{operations(`[{"operation_id":"ShowItem","parameters":{"id":""}}]`), "parameters_invalid", 422},
		{operations(`[{"operation_id":"ShowItem","parameters":{"id":"a\nb"}}]`), "parameters_invalid", 422},
		{operations(`[{"operation_id":"ShowItem","parameters":{"id":"` + long + `"}}]`), "parameters_invalid", 422},
		{operations(`[{"operation_id":"ShowItem","parameters":{"ID":"1"}}]`), "parameters_invalid", 422},
		{operations(`[{"operation_id":"Me","parameters":{"X-Other":"1"}}]`), "parameters_invalid", 422},
	} {
		got := e.do("alice", "POST", testOf("shop"), test.body)
		if got.is(t, test.status, test.code); strings.Contains(got.text, "evil") || strings.Contains(got.text, "aaa") {
			t.Errorf("%.200s: %s", test.body, got.text)
		}
	}
	got := e.do("alice", "POST", testOf("shop"), operations(`[{"operation_id":"Me"},{"operation_id":"me"}]`))
	if message, _ := got.body["message"].(string); !strings.HasSuffix(message, `It is "operations[1]".`) {
		t.Errorf("%s", got.text)
	}
	got = e.do("alice", "GET", testOf("shop"), "")
	if got.is(t, http.StatusMethodNotAllowed, "method_not_allowed"); got.Header.Get("Allow") != "POST" {
		t.Errorf("%v", got.Header)
	}
	if asked := a.seen(); len(asked) > 0 {
		t.Errorf("the API was asked %d times", len(asked))
	}
}

// However large the document is, and however slow the API, a test ends.
func TestConnectorTestIsBounded(t *testing.T) {
	var many strings.Builder
	for i := range maxCalled + maxSkipped + 7 {
		fmt.Fprintf(&many, "/%03d: {get: {responses: {default: {description: Any}}}}\n", i)
	}
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/a") {
			<-r.Context().Done()
		}
	})
	e := start(t, a.documented(t, "many", "auth none", many.String())+a.documented(t, "slow", "auth none", two)+a.documented(t, "paced", "auth none\nrate_limit 1", two))
	got := e.tries("alice", "many", e.connected("alice", "many", `{"name":"mine"}`), "")
	if lines := outcome(got); len(lines) != 2+maxCalled+maxSkipped || lines[0] != "ok" || lines[1+maxCalled] != "skipped GET /032: limit" || lines[len(lines)-1] != "more skipped: 7" {
		t.Errorf("%q", lines)
	}
	if asked := a.seen(); len(asked) != maxCalled {
		t.Errorf("the API was asked %d times", len(asked))
	}
	defer func(was time.Duration) { connectorTimeout = was }(connectorTimeout)
	connectorTimeout = 3 * time.Second
	e.tries("alice", "slow", e.connected("alice", "slow", `{"name":"mine"}`), "").tells(t, "GET /a answer", "skipped GET /b: time")
	connectorTimeout = time.Minute
	began := time.Now()
	a.mu.Lock()
	a.answer = nil
	a.mu.Unlock()
	e.tries("alice", "paced", e.connected("alice", "paced", `{"name":"mine"}`), "{\"method\":\"GET\",\"path\":\"/b\"},{\"method\":\"GET\",\"path\":\"/b\"},{\"method\":\"GET\",\"path\":\"/b\"}").
		tells(t, "ok", "GET /b 200 ok", "GET /b 200 ok", "GET /b 200 ok")
	if took := time.Since(began); took < 1900*time.Millisecond {
		t.Errorf("three calls at one a second took %v", took)
	}
}

// An owner has one test at a time, whatever the connection; it ends when the
// client goes.
func TestConnectorTestsOfAnOwner(t *testing.T) {
	asked, gone := make(chan struct{}, 10), make(chan struct{}, 10)
	a := newAPI(t, func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/a") {
			asked <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		}
	})
	e := start(t, a.documented(t, "shop", "auth none", two))
	id, other, bobs := e.connected("alice", "shop", `{"name":"mine"}`), e.connected("alice", "shop", `{"name":"other"}`), e.connected("bob", "shop", `{"name":"mine"}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		request, _ := http.NewRequestWithContext(ctx, "POST", "http://"+e.addr+testOf("shop"), strings.NewReader(`{"connection_id":"`+id+`"}`))
		request.Header = http.Header{"X-User": {"alice"}, "Content-Type": {"application/json"}}
		if res, err := client.Do(request); err == nil {
			res.Body.Close()
			t.Errorf("the test ended: %d", res.StatusCode)
		}
	}()
	within(t, "a call", asked)
	got := e.do("alice", "POST", testOf("shop"), `{"connection_id":"`+other+`","operations":[{"method":"GET","path":"/b"}]}`)
	if got.is(t, http.StatusTooManyRequests, "rate_limited"); got.Header.Get("Retry-After") != "1" {
		t.Errorf("%v", got.Header)
	}
	const b = `{"method":"GET","path":"/b"}`
	e.tries("bob", "shop", bobs, b).tells(t, "ok", "GET /b 200 ok")
	cancel()
	within(t, "an end of the call", gone)
	<-done
	e.tries("alice", "shop", other, b).tells(t, "ok", "GET /b 200 ok")
}

// An access token that is not known any more is replaced once, for all calls.
func TestConnectorTestRefreshes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		as := newAuthorization(t, oauthtest.Config{})
		a := newAPI(t, as.ServeHTTP) // in front of it
		block := strings.Replace(as.block(""), "base_url "+as.url, "base_url "+a.URL, 1)
		e.start(strings.Replace(block, "test GET /me", "openapi "+documentFile(t, `{"openapi": "3.1.0", "paths": {
			"/me": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"required": ["user"]}}}}}}},
			"/none": {"get": {"responses": {"404": {}}}}}}`), 1))
		token := strings.Replace(as.granted(t), `"access_token":"`, `"access_token":"not-known-`, 1)
		token = token[:strings.Index(token, `,"expires_at"`)] + "}"
		id := e.connected("alice", "crm", `{"name":"mine","credentials":[`+token+`]}`)
		const me = `{"method":"GET","path":"/me"}`
		e.tries("alice", "crm", id, me+","+me+`,{"method":"GET","path":"/none"}`).tells(t, "ok", "GET /me 200 ok", "GET /me 200 ok", "GET /none 404 ok")
		if refreshed, asked := as.Calls()["refresh_token"], len(a.seen()); refreshed != 1 || asked != 4 {
			t.Errorf("%d refreshes, and %d calls", refreshed, asked)
		}
	})
}

// What an API echoes of the credentials is in no answer and no log.
func TestConnectorTestSecrets(t *testing.T) {
	const secret = "s3cret-k3y"
	for _, auth := range []string{"query key", "header X-Key", "cookie c"} {
		t.Run(auth, func(t *testing.T) {
			a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
				said := url.PathEscape(secret)
				if !strings.Contains(fmt.Sprint(r.URL, r.Header), secret) {
					said = "not sent"
				}
				switch {
				case strings.HasSuffix(r.URL.Path, "/type"):
					w.Header().Set("Content-Type", said+"/"+said+"; a="+said)
				case strings.HasSuffix(r.URL.Path, "/subtype"):
					w.Header().Set("Content-Type", "application/"+said+"+json")
				default:
					w.Header().Set("Content-Type", "application/json")
				}
				w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+said+`"`)
				if strings.HasSuffix(r.URL.Path, "/scope") {
					w.WriteHeader(http.StatusForbidden)
				}
				fmt.Fprintf(w, `{"id":"%s","name":{"%s":1},"%s":["%s"],"next":{"%s":"%s"}}`, said, said, said, said, said, said)
			})
			const op = ": {get: {parameters: [{in: query, name: key, required: true, example: mine}], responses: {'200': {$ref: '#/components/responses/S'}}}}\n"
			e := start(t, a.documented(t, "shop", "auth api_key "+auth, "/body"+op+"/type"+op+"/subtype"+op+"/scope"+op))
			id := e.connected("alice", "shop", `{"name":"mine","credentials":[{"type":"api_key","value":"`+secret+`"}]}`)
			got := e.tries("alice", "shop", id, "")
			if len(got.body["operations"].([]any)) != 4 || got.body["ok"] != false {
				t.Errorf("%s", got.text)
			}
			for _, asked := range a.seen() {
				if !strings.Contains(fmt.Sprint(asked.URL, asked.Header), secret) {
					t.Errorf("sent without the credential: %v", asked)
				}
			}
			for place, text := range map[string]string{"the answer": got.text, "the log": e.logs(), "the config": e.ask("GET", "/config/"), "the metrics": e.ask("GET", "/metrics")} {
				if strings.Contains(strings.ToLower(text), secret) {
					t.Errorf("%s: %s has it: %s", auth, place, text)
				}
			}
		})
	}
}
