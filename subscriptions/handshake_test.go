package subscriptions

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// shaker is a receiver whose handshake is answered in some way; deliveries are
// answered 200.
func shaker(t *testing.T, isHandshake func(r *http.Request) bool, answer http.HandlerFunc) *receiver {
	t.Helper()
	return newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if isHandshake(r) {
			answer(w, r)
		}
	})
}

func hasHookSecret(r *http.Request) bool { return r.Header.Get("X-Hook-Secret") != "" }

func echoHookSecret(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Hook-Secret", r.Header.Get("X-Hook-Secret"))
}

func TestHookSecret(t *testing.T) { eachDatabase(t, hookSecret) }

func hookSecret(t *testing.T, e *edge, _ string) {
	hook := shaker(t, hasHookSecret, echoHookSecret)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL+"/in?x=1", "handshake", "x-hook-secret", "headers", map[string]string{"Authorization": "planted"})
	if sub.body["handshake"] != "x-hook-secret" || len(hook.seen()) != 1 {
		t.Fatalf("%d requests; answer %s", len(hook.seen()), sub.text)
	}
	asked := hook.seen()[0]
	secret := asked.header.Get("X-Hook-Secret")
	if len(secret) < 26 || string(asked.body) != "{}" || asked.header.Get("Authorization") != "planted" || asked.header.Get("User-Agent") != "caddy-connector" {
		t.Errorf("asked with %v %s", asked.header, asked.body)
	}
	// the same again is not asked again
	body := members("target_url", hook.URL+"/in?x=1", "resource_type", "project", "resource_id", "p1", "events", []string{"*"}, "handshake", "x-hook-secret")
	e.do("alice", "POST", "/subscriptions", body).is(t, http.StatusOK, "")
	// what else is changed leaves the secret
	e.do("alice", "PATCH", "/subscriptions/"+sub.id(), `{"headers":null}`).is(t, http.StatusOK, "")
	e.do("alice", "POST", "/subscriptions/"+sub.id()+"/secret", "").is(t, http.StatusOK, "")
	e.publish("p1", "task.create", `{"a":1}`)
	eventually(t, "the push", func() bool { return len(hook.seen()) == 2 })
	push := hook.seen()[1]
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(push.body)
	if got := push.header.Get("X-Hook-Signature"); got != hex.EncodeToString(mac.Sum(nil)) || push.header.Get("X-Hook-Secret") != "" {
		t.Errorf("signature %q of %s", got, push.body)
	}
	verify(t, push, e.secrets(sub.id())...)
	if strings.Contains(e.logs(), secret) || strings.Contains(sub.text, secret) {
		t.Error("the secret can be read")
	}
}

func TestCloudEventsHandshake(t *testing.T) {
	e := start(t, strings.Replace(site, "allow_http", "allow_http\norigin edge.example.com", 1))
	isOptions := func(r *http.Request) bool { return r.Method == http.MethodOptions }
	for i, allowed := range []string{"*", "edge.example.com", "Edge.Example.com"} {
		hook := shaker(t, isOptions, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("WebHook-Allowed-Origin", allowed) })
		resource := fmt.Sprint("p", i)
		e.subscribe("alice", resource, "target_url", hook.URL, "handshake", "cloudevents")
		e.publish(resource, "task.create", "{}")
		eventually(t, "the push", func() bool { return len(hook.seen()) == 2 })
		for n, request := range hook.seen() {
			if got := request.header.Get("WebHook-Request-Origin"); got != "edge.example.com" {
				t.Errorf("request %d is of origin %q", n, got)
			}
		}
	}
}

func TestWebSubHandshake(t *testing.T) {
	e := start(t, site)
	hook := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			return
		}
		lease, err := strconv.Atoi(r.FormValue("hub.lease_seconds"))
		if !strings.HasPrefix(r.URL.RawQuery, "a=%2f&b&hub.") || r.URL.EscapedPath() != "/in%2fx" || r.FormValue("hub.mode") != "subscribe" ||
			r.FormValue("hub.topic") != "project/a%2Fb%20%C3%BC" || err != nil || lease < 1000 {
			t.Errorf("asked %s", r.URL)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprint(w, r.FormValue("hub.challenge"))
	})
	e.subscribe("alice", "a/b ü", "target_url", hook.URL+"/in%2fx?a=%2f&b", "handshake", "websub")
	e.subscribe("bob", "a/b ü", "target_url", hook.URL+"/in%2fx?a=%2f&b", "handshake", "websub", "expires_at", "2999-01-01T00:00:00Z")
	e.publish("a/b ü", "task.create", "{}")
	eventually(t, "the pushes", func() bool { return len(hook.seen()) == 4 })
}

// A target that does not agree is not subscribed, and what it says is not told.
func TestHandshakesThatFail(t *testing.T) {
	e := start(t, strings.Replace(site, "allow_http", "allow_http\norigin edge.example.com", 1))
	elsewhere := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		echoHookSecret(w, r)
		w.Header().Set("WebHook-Allowed-Origin", "*")
	})
	challenge := func(w http.ResponseWriter, r *http.Request, suffix string) {
		_, _ = fmt.Fprint(w, r.FormValue("hub.challenge")+suffix)
	}
	for name, test := range map[string]struct {
		handshake string
		answer    http.HandlerFunc
	}{
		"no header":      {"x-hook-secret", func(http.ResponseWriter, *http.Request) {}},
		"another secret": {"x-hook-secret", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Hook-Secret", "planted") }},
		"two secrets": {"x-hook-secret", func(w http.ResponseWriter, r *http.Request) {
			echoHookSecret(w, r)
			w.Header().Add("X-Hook-Secret", "x")
		}},
		"an error": {"x-hook-secret", func(w http.ResponseWriter, r *http.Request) { echoHookSecret(w, r); w.WriteHeader(500) }},
		"a redirect": {"x-hook-secret", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}},
		"no origin":      {"cloudevents", func(http.ResponseWriter, *http.Request) {}},
		"another origin": {"cloudevents", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("WebHook-Allowed-Origin", "example.com") }},
		"not found": {"cloudevents", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			w.WriteHeader(404)
		}},
		"no challenge":      {"websub", func(http.ResponseWriter, *http.Request) {}},
		"more":              {"websub", func(w http.ResponseWriter, r *http.Request) { challenge(w, r, "planted") }},
		"challenge and 404": {"websub", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404); challenge(w, r, "") }},
		"broken off":        {"websub", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		hook := shaker(t, func(*http.Request) bool { return true }, test.answer)
		body := members("target_url", hook.URL, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}, "handshake", test.handshake)
		got := e.do("alice", "POST", "/subscriptions", body)
		if got.StatusCode != http.StatusUnprocessableEntity || got.body["code"] != "handshake_failed" || strings.Contains(got.text, "planted") {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.text)
		}
	}
	if rows := e.rows("SELECT id FROM connector_subscriptions"); len(rows) > 0 {
		t.Errorf("rows: %q", rows)
	}
	if n := len(elsewhere.seen()); n > 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
}

func TestHandshakeIsChecked(t *testing.T) {
	e := start(t, site)
	hook := newReceiver(t, nil)
	for _, handshake := range []any{"other", "", 1, true, "cloudevents"} { // this site has no origin
		body := members("target_url", hook.URL, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}, "handshake", handshake)
		e.do("alice", "POST", "/subscriptions", body).is(t, http.StatusUnprocessableEntity, "handshake_invalid")
	}
	for i := range 5 {
		e.subscribe("alice", fmt.Sprint(i))
	}
	// who may not have another does not make the edge ask either, nor whose time is over
	body := members("target_url", hook.URL, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}, "handshake", "x-hook-secret")
	e.do("alice", "POST", "/subscriptions", body).is(t, http.StatusConflict, "limit_reached")
	body = members("target_url", hook.URL, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}, "handshake", "x-hook-secret", "expires_at", "2020-01-01T00:00:00Z")
	e.do("bob", "POST", "/subscriptions", body).is(t, http.StatusUnprocessableEntity, "expires_at_invalid")
	if n := len(hook.seen()); n > 0 {
		t.Errorf("%d requests", n)
	}
}
