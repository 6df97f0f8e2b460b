package connections

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// node is a Caddy in a process of its own.
type node struct {
	*edge
	process *exec.Cmd
}

// newNode starts one on the database of an edge.
func newNode(t *testing.T, of *edge, connections string) *node {
	t.Helper()
	e := prepare(t)
	e.options = of.options
	file := filepath.Join(e.storage, "config.json")
	if err := os.WriteFile(file, e.config(connections), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &node{e, exec.Command(os.Args[0])}
	n.process.Env = append(os.Environ(), childConfig+"="+file)
	n.process.Stderr = os.Stderr
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		request, _ := http.NewRequest("GET", "http://"+e.addr+connect+"crm/connections", nil)
		request.Header.Set("X-User", "alice")
		res, err := client.Do(request)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return n
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node does not start: %v", err)
		}
	}
}

// kill ends it at once.
func (n *node) kill() {
	_ = n.process.Process.Kill()
	_ = n.process.Wait()
}

// granted gets tokens from the authorization server as its user, and returns the
// credential, which has expired.
func (as *authorization) granted(t *testing.T) string {
	t.Helper()
	res, err := http.PostForm(as.url+"/token", url.Values{
		"grant_type": {"password"}, "username": {"alice"}, "password": {"wonderland"}, "scope": {"read"},
		"client_id": {"client"}, "client_secret": {"client-secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var token struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&token); err != nil || token.Refresh == "" {
		t.Fatalf("%d, %v", res.StatusCode, err)
	}
	return fmt.Sprintf(`{"type":"oauth2","access_token":%q,"refresh_token":%q,"expires_at":%d}`, token.Access, token.Refresh, time.Now().Unix()-1)
}

// storm sends 200 calls at once, spread over edges.
func storm(t *testing.T, id string, edges ...*edge) {
	t.Helper()
	var all sync.WaitGroup
	statuses := make([]int, 200)
	for i := range statuses {
		all.Go(func() {
			request, _ := http.NewRequest("GET", "http://"+edges[i%len(edges)].addr+"/api/proxy/v1/"+id+"/me", nil)
			request.Header.Set("X-User", "alice")
			res, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			statuses[i] = res.StatusCode
		})
	}
	all.Wait()
	for i, status := range statuses {
		if status != http.StatusOK {
			t.Errorf("call %d: %d", i, status)
		}
	}
}

// S36: however many calls come when a token has expired, and wherever, there is one
// call to the token endpoint.
func TestExpiryStorm(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		as := newAuthorization(t, oauthtest.Config{})
		e.start(as.block(""))
		edges := []*edge{e}
		if t.Name() == "TestExpiryStorm/postgres" {
			edges = append(edges, newNode(t, e, as.block("")).edge, newNode(t, e, as.block("")).edge)
		}
		id := e.connected("alice", "crm", `{"name":"mine","credentials":[`+as.granted(t)+`]}`)
		for round := range 3 {
			before := as.Calls()["refresh_token"]
			storm(t, id, edges...)
			if calls := as.Calls(); calls["refresh_token"] != before+1 || as.Reuses() != 0 {
				t.Errorf("round %d: %d calls of the token endpoint, %d refresh tokens used twice", round, calls["refresh_token"]-before, as.Reuses())
			}
			e.do("alice", "PUT", connect+"crm/connections/"+id+"/credentials/0", as.granted(t)).is(t, 200, "")
		}
	})
}
