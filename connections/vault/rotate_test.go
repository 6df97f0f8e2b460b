package vault

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
)

// rotate has the admin API seal all with the first key, as an operator does.
func rotate(d *database) string {
	d.Helper()
	module, err := caddy.GetModule("admin.api.connector")
	if err != nil {
		d.Fatal(err)
	}
	for _, route := range module.New().(caddy.AdminRouter).Routes() {
		if !strings.HasSuffix(route.Pattern, "/keys/rotate") {
			continue
		}
		answer := httptest.NewRecorder()
		if err := route.Handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, route.Pattern, nil)); err != nil {
			d.Fatal(err)
		}
		return strings.TrimSpace(answer.Body.String())
	}
	d.Fatal("the admin API has no such route")
	return ""
}

// The keys are rotated while connections are read, refreshed and begun; afterwards the
// old key is not needed.
func TestRotation(t *testing.T) { eachDatabase(t, rotation) }

func rotation(d *database) {
	first := d.keys
	n := d.node()
	var ids []string
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, n.create("alice", name, "token-1", "key of "+name).ID)
	}
	flow := flowOf("alice", "state")
	n.begin(flow)
	n.end()

	d.keys = datastore.NewKey() + " " + first
	n = d.node()
	ctx, cancel := context.WithCancel(d.Context())
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() {
			for version := int64(1); ctx.Err() == nil; version++ {
				if i == 0 {
					is(n, "a lease", n.lease(id, version, "a", time.Minute), nil)
					is(n, "saved", n.save(id, version, "a", "token-1"), nil)
				}
				c, err := n.Load(d.Context(), id)
				if err != nil || string(c.Secret(0)) != "token-1" {
					n.Errorf("read during the rotation: %v, %v", c, err)
					return
				}
			}
		})
	}
	if got := rotate(d); got == `{"reencrypted":0}` {
		n.Error("nothing was sealed anew")
	}
	cancel()
	all.Wait()
	if got := rotate(d); got != `{"reencrypted":0}` {
		n.Errorf("again: %s", got)
	}
	n.end()

	d.keys, _, _ = strings.Cut(d.keys, " ")
	n = d.node()
	for _, id := range ids {
		if c := n.find(id); string(c.Secret(0)) != "token-1" || !strings.HasPrefix(string(c.Secret(1)), "key of ") {
			n.Errorf("after the rotation: %q %q", c.Secret(0), c.Secret(1))
		}
	}
	if got, err := n.TakeFlow(d.Context(), flow.StateHash); err != nil || got.Verifier.Reveal() != "verifier of state" {
		n.Errorf("the flow: %v", err)
	}
	if logged := n.logged(); strings.Contains(logged, "cannot be opened") {
		n.Errorf("logged: %s", logged)
	}
}
