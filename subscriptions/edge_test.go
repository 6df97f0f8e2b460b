package subscriptions

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// What is published reaches who has subscribed, signed with what they have.
func TestFromEndToEnd(t *testing.T) {
	e := start(t, site)
	type webhook struct {
		header http.Header
		body   string
	}
	received := make(chan webhook, 10)
	subscriber := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- webhook{r.Header, string(body)}
	}))
	defer subscriber.Close()
	created := e.subscribe("alice", "p1", "target_url", subscriber.URL+"/in", "events", []string{"task.*"})
	verify := func(id string, secrets ...string) {
		t.Helper()
		var got webhook
		select {
		case got = <-received:
		case <-time.After(15 * time.Second):
			t.Fatal("nothing was received")
		}
		if !strings.Contains(got.body, `"id":"`+id+`"`) || !strings.Contains(got.body, `"data":{ "x":1 }`) {
			t.Errorf("body %s", got.body)
		}
		if signatures := strings.Fields(got.header.Get("Webhook-Signature")); len(signatures) != len(secrets) {
			t.Errorf("%d signatures, want %d", len(signatures), len(secrets))
		}
		for i, plain := range secrets { // each of them is enough
			secret, err := signature.ParseSecret(plain)
			if err != nil {
				t.Fatal(err)
			}
			_, err = signature.Verify(got.header, signature.Names{}, []byte(got.body), time.Now(), signature.DefaultTolerance, secret)
			if err != nil {
				t.Errorf("secret %d: %v", i, err)
			}
		}
	}
	post := func(id string) {
		t.Helper()
		got := e.do("app", "POST", "/events", `{"id":"`+id+`","type":"task.create","resource_id":"p1","data":{ "x":1 }}`)
		got.is(t, http.StatusAccepted, "")
	}
	first := created.body["secret"].(string)
	post("e1")
	verify("e1", first)

	rotated := e.do("alice", "POST", "/subscriptions/"+created.id()+"/secret", "")
	post("e2")
	verify("e2", rotated.body["secret"].(string), first)

	// while it is paused, its deliveries wait
	e.do("alice", "POST", "/subscriptions/"+created.id()+"/pause", "").is(t, http.StatusOK, "")
	post("e3")
	select {
	case got := <-received:
		t.Errorf("received while paused: %s", got.body)
	case <-time.After(200 * time.Millisecond):
	}
	e.do("alice", "POST", "/subscriptions/"+created.id()+"/resume", "").is(t, http.StatusOK, "")
	verify("e3", rotated.body["secret"].(string), first)
}

func TestDatabaseThatIsAway(t *testing.T) {
	e := start(t, site)
	away := freeAddr(t)
	e.addr = freeAddr(t)
	e.reload("database postgres postgres://user:planted-secret@"+away+"/x\nencryption_keys "+datastore.NewKey(), site)
	path := "/subscriptions/" + newID()
	for _, request := range [][3]string{
		{"POST", "/subscriptions", members("target_url", target, "resource_type", "task", "resource_id", "p1", "events", []string{"*"})},
		{"GET", "/subscriptions", ""}, {"GET", path, ""}, {"PATCH", path, `{"status":"paused"}`}, {"DELETE", path, ""}, {"POST", path + "/secret", ""},
		{"POST", "/events", event},
	} {
		got := e.do("alice", request[0], request[1], request[2])
		if got.is(t, http.StatusServiceUnavailable, "not_ready"); got.Header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
		}
		if strings.Contains(got.text, away) {
			t.Errorf("answer %s", got.text)
		}
	}
	if logs := e.logs(); !strings.Contains(logs, "the database cannot be used") || strings.Contains(logs, "planted-secret") {
		t.Error("the logs do not tell, or tell too much")
	}
}

func TestDatabaseThatFails(t *testing.T) {
	e := start(t, site)
	path := "/subscriptions/" + e.subscribe("alice", "p1").id()
	e.exec("ALTER TABLE connector_subscriptions RENAME TO elsewhere")
	for _, request := range [][3]string{
		{"POST", "/subscriptions", members("target_url", target, "resource_type", "task", "resource_id", "p1", "events", []string{"*"})},
		{"GET", "/subscriptions", ""}, {"GET", path, ""}, {"PATCH", path, `{"status":"paused"}`}, {"DELETE", path, ""}, {"POST", path + "/secret", ""},
		{"POST", "/events", event},
	} {
		got := e.do("alice", request[0], request[1], request[2])
		if got.is(t, http.StatusInternalServerError, "internal"); strings.Contains(got.text, "connector_subscriptions") {
			t.Errorf("answer %s", got.text)
		}
	}
	if !strings.Contains(e.logs(), "no such table") {
		t.Error("it is not logged")
	}
}
