package connections

import (
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tested is what a test of a connection tells, but for the time.
func (e *edge) tested(user, api, id string) (result jsonObject, errors any) {
	e.t.Helper()
	got := e.do(user, "POST", placeOf(api, id)+"/test", "")
	got.is(e.t, http.StatusOK, "")
	delete(got.body, "latency_ms")
	return got.body, e.do(user, "GET", placeOf(api, id), "").body["errors"]
}

// A test says where a connection fails, and the connection does, too.
func TestStages(t *testing.T) {
	defer func(was time.Duration) { testTimeout = was }(testTimeout)
	testTimeout = 3 * time.Second
	asked := make(chan struct{}, 1)
	answers := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/key":
			if r.Header.Get("X-Key") != "good" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		case "/v2/scope":
			w.Header().Add("WWW-Authenticate", `Basic realm="scope=\"a\""`)
			w.Header().Add("WWW-Authenticate", `Bearer error="insufficient_scope", scope="read write"`)
			w.WriteHeader(http.StatusForbidden)
		case "/v2/forbidden":
			w.Header().Add("WWW-Authenticate", `Bearer error="invalid_token", scope="read"`)
			w.WriteHeader(http.StatusForbidden)
		case "/v2/moved":
			http.Redirect(w, r, "/v2/elsewhere", http.StatusFound)
		case "/v2/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/v2/cut":
			panic(http.ErrAbortHandler)
		case "/v2/hangs":
			<-r.Context().Done()
		case "/v2/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			asked <- struct{}{}
		}
	})
	unknown := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(unknown.Close)
	unknown.Config.ErrorLog = nil
	// an address that egress does not allow, with somebody there
	private, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("127.0.0.2 is not there")
	}
	t.Cleanup(func() { private.Close() })
	go func() {
		if conn, err := private.Accept(); err == nil {
			conn.Close()
			asked <- struct{}{}
		}
	}()
	const key = "auth api_key header X-Key\n"
	api := func(name, base, more string) string {
		return "api " + name + " {\nbase_url " + base + "\n" + key + more + "\n}\n"
	}
	var site strings.Builder
	for _, name := range []string{"key", "scope", "forbidden", "moved", "broken", "cut", "hangs", "none"} {
		site.WriteString(answers.block(name, key+"test /"+name))
	}
	site.WriteString(answers.varied("variable", key))
	site.WriteString(api("refused", "http://"+freeAddr(t), "") + api("private", "http://"+private.Addr().String(), "") +
		api("unknown", "https://no-such-host.invalid", "") + api("certificate", unknown.URL, "") +
		api("plain", strings.Replace(answers.URL, "http:", "https:", 1), ""))
	e := start(t, site.String())
	const good, bad = `[{"type":"api_key","value":"good"}]`, `[{"type":"api_key","value":"bad"}]`
	for i, test := range []struct {
		api, credentials string
		want             jsonObject
	}{
		{"none", good, jsonObject{"ok": true, "status": 204.0}},
		{"key", good, jsonObject{"ok": true, "status": 200.0}},
		{"key", bad, jsonObject{"ok": false, "stage": "auth", "status": 401.0}},
		{"key", "[null]", jsonObject{"ok": false, "stage": "credentials"}},
		{"scope", good, jsonObject{"ok": false, "stage": "scope", "status": 403.0, "scopes_missing": []any{"read", "write"}}},
		{"forbidden", good, jsonObject{"ok": false, "stage": "scope", "status": 403.0}},
		{"moved", good, jsonObject{"ok": false, "stage": "answer", "status": 302.0}},
		{"broken", good, jsonObject{"ok": false, "stage": "answer", "status": 500.0}},
		{"cut", good, jsonObject{"ok": false, "stage": "answer"}},
		{"hangs", good, jsonObject{"ok": false, "stage": "answer"}},
		{"variable", good, jsonObject{"ok": false, "stage": "target"}},
		{"refused", good, jsonObject{"ok": false, "stage": "connect"}},
		{"private", good, jsonObject{"ok": false, "stage": "connect"}},
		{"unknown", good, jsonObject{"ok": false, "stage": "dns"}},
		{"certificate", good, jsonObject{"ok": false, "stage": "tls"}},
		{"plain", good, jsonObject{"ok": false, "stage": "tls"}},
	} {
		t.Run(test.api+test.credentials, func(t *testing.T) {
			id := e.connected("alice", test.api, `{"name":"`+strconv.Itoa(i)+`","credentials":`+test.credentials+`}`)
			if found := e.do("alice", "GET", placeOf(test.api, id), "").body["errors"]; found != nil {
				t.Errorf("before the test: %v", found)
			}
			got, errors := e.tested("alice", test.api, id)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
			want := []any{}
			if stage, failed := test.want["stage"]; failed {
				want = append(want, stage)
			}
			if !reflect.DeepEqual(errors, want) {
				t.Errorf("errors %v, want %v", errors, want)
			}
		})
	}
	select {
	case <-asked:
		t.Error("a redirect was followed, or a private address was asked")
	default:
	}
}

// What a test found is forgotten when what was tested changes; and it does not
// stand for what came while it ran.
func TestErrorsAreOfWhatThereIs(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		arrived, answer := make(chan struct{}), make(chan struct{})
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/slow") {
				arrived <- struct{}{}
				<-answer
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
		e.start(a.varied("varied", "auth bearer"))
		id := e.connected("alice", "varied", `{"name":"mine","variables":[{"name":"account","value":"x"}],"credentials":[{"type":"bearer","token":"t"}]}`)
		rename := func(name, variables string) any {
			t.Helper()
			got := e.do("alice", "PUT", placeOf("varied", id), `{"id":"`+id+`","name":"`+name+`","variables":[{"name":"account","value":"`+variables+`"}]}`)
			got.is(t, http.StatusOK, "")
			return got.body["errors"]
		}
		again := func() { time.Sleep(testPace) }
		if _, errors := e.tested("alice", "varied", id); !reflect.DeepEqual(errors, []any{"auth"}) {
			t.Errorf("errors %v", errors)
		}
		got := e.do("alice", "POST", placeOf("varied", id)+"/test", "")
		if got.is(t, http.StatusTooManyRequests, "rate_limited"); got.Header.Get("Retry-After") != "1" || len(a.seen()) != 1 {
			t.Errorf("the second test: %v", got.Header)
		}
		if errors := rename("other", "x"); errors == nil {
			t.Error("forgotten with another name")
		}
		if errors := rename("other", "y"); errors != nil {
			t.Errorf("with another variable: %v", errors)
		}
		again()
		e.tested("alice", "varied", id)
		got = e.do("alice", "PUT", placeOf("varied", id)+"/credentials/0", `{"type":"bearer","token":"new"}`)
		if got.is(t, http.StatusOK, ""); got.body["errors"] != nil {
			t.Errorf("with another credential: %s", got.text)
		}
		rename("other", "slow")
		again()
		done := make(chan reply, 1)
		go func() { done <- e.do("alice", "POST", placeOf("varied", id)+"/test", "") }()
		<-arrived
		rename("other", "z")
		close(answer)
		if got := <-done; got.StatusCode != http.StatusOK || got.body["stage"] != "auth" {
			t.Errorf("the slow test: %d %s", got.StatusCode, got.text)
		}
		if got := e.do("alice", "GET", placeOf("varied", id), ""); got.body["errors"] != nil {
			t.Errorf("of what was tested before: %s", got.text)
		}
	})
}

// Connections of others are not tested, and are not there.
func TestTestOfOthers(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("plain", "auth none")+a.block("other", "auth none"))
	id := e.connected("alice", "plain", `{"name":"mine"}`)
	e.do("bob", "POST", placeOf("plain", id)+"/test", "").is(t, http.StatusNotFound, "connection_unknown")
	e.do("alice", "POST", placeOf("other", id)+"/test", "").is(t, http.StatusNotFound, "connection_unknown")
	if len(a.seen()) > 0 {
		t.Error("the API was asked")
	}
	e.tested("alice", "plain", id) // it was not used up
}
