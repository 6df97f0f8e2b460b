package subscriptions

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/f737063d/caddy-connector/internal/dnstest"
)

// trap is where nothing may connect to.
type trap struct {
	net.Listener
	connections atomic.Int64
}

func newTrap(t *testing.T, addr string) *trap {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("left out: this machine cannot listen at %s: %v", addr, err)
	}
	t.Cleanup(func() { listener.Close() })
	trap := &trap{Listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			trap.connections.Add(1)
			conn.Close()
		}
	}()
	return trap
}

// What a subscriber's name leads to, or its answer, never has the edge connect to
// an address that it must not: not to deliver, to test, or for a handshake.
func TestNothingPrivateIsReached(t *testing.T) {
	private := newTrap(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(private.Addr().String())
	var redirects atomic.Bool
	open := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if redirects.Load() {
			http.Redirect(w, r, "http://127.0.0.1:"+port+"/", http.StatusTemporaryRedirect)
			return
		}
		echoHookSecret(w, r)
	}))
	listener, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("left out: this machine cannot listen at 127.0.0.2: %v", err)
	}
	open.Listener.Close()
	open.Listener = listener
	open.Config.SetKeepAlivesEnabled(false) // each request is another lookup
	open.Start()
	defer open.Close()

	var rebound atomic.Bool
	before := net.DefaultResolver
	defer func() { net.DefaultResolver = before }()
	net.DefaultResolver = dnstest.Serve(t, func(name string, _ int) []netip.Addr {
		switch {
		case name != "rebind.example":
			return nil
		case rebound.Load():
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	})
	e := start(t, site)
	e.opens = "127.0.0.2/32"
	e.load("", site)
	target := "http://rebind.example:" + port + "/"
	sub := e.subscribe("alice", "p1", "target_url", target).id()
	shake := func(resource string) reply {
		return e.do("alice", "POST", "/subscriptions", members("target_url", target, "resource_type", "project",
			"resource_id", resource, "events", []string{"*"}, "handshake", "x-hook-secret"))
	}
	shake("p2").is(t, http.StatusCreated, "")

	for _, tc := range []struct {
		rebound, redirects bool
		err                string // of the attempt
	}{
		{false, false, ""}, {false, true, "redirect"}, {true, false, "destination_ip_prohibited"},
	} {
		rebound.Store(tc.rebound)
		redirects.Store(tc.redirects)
		want := any(nil)
		if tc.err != "" {
			want = tc.err
			shake("p3").is(t, http.StatusUnprocessableEntity, "handshake_failed")
		}
		eventually(t, "a test that is not too soon", func() bool {
			got := e.do("alice", "POST", "/subscriptions/"+sub+"/test", "")
			if got.StatusCode == http.StatusTooManyRequests {
				return false
			}
			if got.is(t, http.StatusOK, ""); got.body["error"] != want {
				t.Errorf("test: %s, want %v", got.text, want)
			}
			if strings.Contains(got.text, "127.0.0") {
				t.Errorf("the answer tells the address: %s", got.text)
			}
			return true
		})
		event := e.publish("p1", "task.create", "{}")
		eventually(t, "an attempt", func() bool {
			rows := e.rows(`SELECT a.error FROM connector_attempts AS a JOIN connector_deliveries AS d ON d.id = a.delivery_id
				WHERE d.event_id = $1 AND d.subscription_id = $2`, event, sub)
			return len(rows) == 1 && rows[0] == tc.err
		})
	}
	if n := private.connections.Load(); n != 0 {
		t.Errorf("%d connections to the private address", n)
	}
}
