package subscriptions

import (
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Header fields of a subscriber's own are sent with each push. Their values are
// told to nobody.
func TestHeaders(t *testing.T) { eachDatabase(t, sendHeaders) }

func sendHeaders(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL, "headers", map[string]string{"Authorization": "Bearer planted-one", "x_API-key": "planted two"})
	path := "/subscriptions/" + sub.id()
	sent := 0
	check := func(got reply, want map[string]string) {
		t.Helper()
		got.is(t, got.StatusCode, "")
		names := []any{}
		for _, name := range []string{"authorization", "x-other", "x_api-key"} {
			if want[name] != "" {
				names = append(names, name)
			}
		}
		for _, text := range []reply{got, e.do("alice", "GET", path, ""), e.do("alice", "GET", "/subscriptions", "")} {
			if strings.Contains(text.text, "planted") || text.body["data"] == nil && !reflect.DeepEqual(text.body["headers"], names) {
				t.Errorf("answer %s, want %v", text.text, names)
			}
		}
		e.publish("p1", "task.create", "{}")
		sent++
		eventually(t, "the push", func() bool { return len(hook.seen()) == sent })
		header := hook.seen()[sent-1].header
		for _, name := range []string{"authorization", "x-other", "x_api-key"} {
			if header.Get(name) != want[name] {
				t.Errorf("%s is %q, want %q", name, header.Get(name), want[name])
			}
		}
		verify(t, hook.seen()[sent-1], e.secrets(sub.id())...)
	}
	check(sub, map[string]string{"authorization": "Bearer planted-one", "x_api-key": "planted two"})
	check(e.do("alice", "PATCH", path, `{"status":"active"}`), map[string]string{"authorization": "Bearer planted-one", "x_api-key": "planted two"})
	e.do("alice", "POST", path+"/secret", "").is(t, http.StatusOK, "")
	check(e.do("alice", "GET", path, ""), map[string]string{"authorization": "Bearer planted-one", "x_api-key": "planted two"})
	check(e.do("alice", "PATCH", path, `{"headers":{"X-Other":"planted"}}`), map[string]string{"x-other": "planted"})
	if secrets := e.secrets(sub.id()); len(secrets) != 2 {
		t.Errorf("%d secrets are left", len(secrets))
	}
	check(e.do("alice", "PUT", path, `{"events":["*"],"headers":{"authorization":"planted"}}`), map[string]string{"authorization": "planted"})
	check(e.do("alice", "PATCH", path, `{"headers":null}`), nil)
	if strings.Contains(e.logs(), "planted") {
		t.Error("the logs have a value")
	}
}

func TestHeadersAreSealed(t *testing.T) {
	e := start(t, site)
	hook := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	sub := e.subscribe("alice", "p1", "target_url", hook.URL, "headers", map[string]string{"Authorization": "Bearer planted-one"}, "signature", "v1a")
	e.do("alice", "PATCH", "/subscriptions/"+sub.id(), `{"headers":{"X-Other":"planted-two"}}`).is(t, http.StatusOK, "")
	e.publish("p1", "task.create", "{}")
	eventually(t, "the attempt", func() bool { return len(e.rows("SELECT number FROM connector_attempts")) == 1 })
	private := e.secrets(sub.id())[0]
	for _, file := range []string{e.path, e.path + "-wal", e.log} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "planted-") || strings.Contains(string(content), private[6:40]) {
			t.Errorf("%s has a value", file)
		}
	}
}

func TestHeadersAreChecked(t *testing.T) {
	e := start(t, strings.Replace(site, "allow_http", "allow_http\nsignature {\nheaders X-Id X-At X-Sum\n}", 1))
	path := "/subscriptions/" + e.subscribe("alice", "p0").id()
	many := make(map[string]string)
	for i := range 17 {
		many["x-"+strings.Repeat("a", i+1)] = "y"
	}
	one := func(name, value string) map[string]string { return map[string]string{name: value} }
	for _, headers := range []any{
		"x", []string{"x"}, 1, many, map[string]any{"x": 1}, map[string]any{"x": nil}, map[string]string{"x-a": "1", "X-A": "2"}, map[string]string{"x-a": "1", "x_a": "2"},
		one("", "x"), one("x y", "x"), one("x:", "x"), one("x\r\ny", "x"), one("ü", "x"), one(strings.Repeat("x", 65), "x"),
		one("x", ""), one("x", " y"), one("x", "y "), one("x", "a\r\nb: c"), one("x", "a\tb"), one("x", "ü"), one("x", "\x7f"), one("x", strings.Repeat("x", 1025)),
	} {
		got := e.do("alice", "PATCH", path, members("headers", headers))
		if got.is(t, http.StatusUnprocessableEntity, "headers_invalid"); strings.Contains(got.text, "a\r\n") {
			t.Errorf("answer %s", got.text)
		}
	}
	for _, name := range []string{
		"Host", "Content-Type", "content-length", "CONTENT-MD5", "Connection", "Transfer-Encoding", "te", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Authorization",
		"webhook-id", "Webhook-Signature", "webhook_id", "WebHook-Request-Origin", "Accept-Encoding", "Expect", "traceparent", "tracestate", "User-Agent",
		"X-Hub-Signature-256", "x_hub.signature_256", "X-Hook-Signature", "X-Hook-Secret", "X-Forwarded-For", "Forwarded", "Via", "x-id", "X-AT", "x_sum",
	} {
		e.do("alice", "PATCH", path, members("headers", one(name, "x"))).is(t, http.StatusUnprocessableEntity, "header_reserved")
	}
	delete(many, "x-a")
	many["x-aa"] = strings.Repeat("x", 1024)
	for _, headers := range []any{many, one(strings.Repeat("x", 64), "x"), one("Authorization", "Basic eDp5"), one("Cookie", "a=b; c=\"d\""), one("X-Content", "~"), struct{}{}} {
		e.do("alice", "PATCH", path, members("headers", headers)).is(t, http.StatusOK, "")
	}
}
