package subscriptions

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

func TestOwnerPace(t *testing.T) {
	var p ownerPace
	now := time.Unix(1e9, 0)
	allowed := func(owner string) (n int) {
		for p.allow(owner, now) {
			n++
		}
		return n
	}
	if n := allowed("alice"); n != ownerBurst {
		t.Errorf("alice at once: %d", n)
	}
	if n := allowed("bob"); n != ownerBurst {
		t.Errorf("bob at once: %d", n)
	}
	if now = now.Add(3 * time.Second); allowed("alice") != 3 {
		t.Error("alice is not allowed one in a second")
	}
	for i := range 2 * maxPaced { // others, once each
		p.allow(fmt.Sprint(i), now)
		if len(p.limiters) > maxPaced {
			t.Fatalf("%d are remembered", len(p.limiters))
		}
	}
	if p.limiters["alice"] == nil || p.limiters["bob"] == nil { // of 32, somebody may do more
		t.Error("forgotten are those who have done the most")
	}
}

// A user has no more targets asked than the pace allows.
func TestOwnersAreRateLimited(t *testing.T) {
	e := start(t, site)
	hook := newReceiver(t, nil)
	refused := func(what string, ask func(i int) reply) {
		t.Helper()
		for i := range 20 * ownerBurst {
			if got := ask(i); got.StatusCode == http.StatusTooManyRequests && got.body["message"] == errOwnerRate.Message {
				got.is(t, http.StatusTooManyRequests, "rate_limited")
				if after := got.Header.Get("Retry-After"); after != "1" {
					t.Errorf("%s: Retry-After %q", what, after)
				}
				return
			}
		}
		t.Errorf("%s are not limited", what)
	}
	shake := func(user string) reply {
		return e.do(user, "POST", "/subscriptions", members("target_url", hook.URL, "resource_type", "project", "resource_id", "p1",
			"events", []string{"*"}, "handshake", "x-hook-secret"))
	}
	refused("handshakes", func(int) reply { return shake("alice") })
	if asked := len(hook.seen()); asked < ownerBurst {
		t.Errorf("asked %d times", asked)
	}
	shake("bob").is(t, http.StatusUnprocessableEntity, "handshake_failed")

	e.load("", `route {
		subscriptions {
			user {http.request.header.X-User}
			event_types task.create
			resource project {
				public
			}
			allow_http
		}
	}`)
	var ids []string
	for i := range 2 * ownerBurst {
		ids = append(ids, e.subscribe("carol", fmt.Sprint(i), "target_url", hook.URL).id())
	}
	refused("tests", func(i int) reply { return e.do("carol", "POST", "/subscriptions/"+ids[i%len(ids)]+"/test", "") })
}

// The same subscription at once has its target asked once: it would keep the
// secret that it was sent last.
func TestTheSameHandshakeAtOnce(t *testing.T) { eachDatabase(t, theSameHandshakeAtOnce) }

func theSameHandshakeAtOnce(t *testing.T, e *edge, _ string) {
	others := make(chan struct{})
	hook := shaker(t, hasHookSecret, func(w http.ResponseWriter, r *http.Request) {
		<-others
		echoHookSecret(w, r)
	})
	body := members("target_url", hook.URL, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}, "handshake", "x-hook-secret")
	time.AfterFunc(time.Second, func() { close(others) })
	if statuses := e.atOnce(5, func(int) string { return body }); statuses[http.StatusCreated] != 1 || statuses[http.StatusOK] != 4 {
		t.Errorf("statuses: %v", statuses)
	}
	if n := len(hook.seen()); n != 1 {
		t.Errorf("asked %d times", n)
	}

	// if the first one fails, the next is asked
	var failed atomic.Bool
	hook = shaker(t, hasHookSecret, func(w http.ResponseWriter, r *http.Request) {
		if failed.Swap(true) {
			echoHookSecret(w, r)
		}
	})
	body = members("target_url", hook.URL, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}, "handshake", "x-hook-secret")
	if statuses := e.atOnce(3, func(int) string { return body }); statuses[http.StatusUnprocessableEntity] != 1 || statuses[http.StatusCreated] != 1 ||
		statuses[http.StatusOK] != 1 {
		t.Errorf("statuses: %v", statuses)
	}
}
