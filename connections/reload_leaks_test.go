package connections

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// A config that is replaced leaves nothing running, also if it has called APIs and had
// tokens refreshed.
func TestReloadsLeaveNothingRunning(t *testing.T) {
	as := newAuthorization(t, oauthtest.Config{})
	e := start(t, as.block(""))
	round := func(i int) {
		id := e.connected("alice", "crm", fmt.Sprintf(`{"name":"%d","credentials":[%s]}`, i, as.granted(t)))
		e.call("alice", "GET", id, "/me", "").is(t, http.StatusOK, "")
		e.call("alice", "GET", id, "/me", "", "X-Versori-Force-Refresh-Credential: true").is(t, http.StatusOK, "")
		e.tested("alice", "crm", id)
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		e.load(as.block(""))
	}
	// what ends soon does not count
	running := func() int {
		least := runtime.NumGoroutine()
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			least = min(least, runtime.NumGoroutine())
		}
		return least
	}
	for i := range 3 {
		round(i)
	}
	before := running()
	const rounds = 12
	for i := range rounds {
		round(3 + i)
	}
	var after int
	defer func() {
		if t.Failed() {
			stacks := make([]byte, 1<<20)
			t.Logf("%d became %d\n%s", before, after, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	soon(t, "an end of what the configs before had running", func() bool {
		after = running()
		return after < before+rounds/2
	})
	if strings.Contains(e.logs(), `"logger":"http.handlers.connections","msg":"refreshing`) {
		t.Error("a refresh failed")
	}
}
