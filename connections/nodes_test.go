package connections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
	"github.com/f737063d/caddy-connector/datastore"
)

// node is a Caddy in a process of its own.
type node struct {
	*edge
	process *exec.Cmd
}

// newNode starts one on the database of an edge, and waits until it answers.
func newNode(t *testing.T, of *edge, connections string) *node {
	t.Helper()
	n := beginNode(t, of, connections)
	n.await(http.StatusOK)
	return n
}

// beginNode starts one that need not get on with the database.
func beginNode(t *testing.T, of *edge, connections string) *node {
	t.Helper()
	e := prepare(t)
	e.options = of.options
	n := &node{e, exec.Command(os.Args[0])}
	if err := os.WriteFile(n.file(), e.config(connections), 0o600); err != nil {
		t.Fatal(err)
	}
	n.process.Env = append(os.Environ(), childConfig+"="+n.file())
	n.process.Stderr = os.Stderr
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	return n
}

// file is where its config is.
func (n *node) file() string { return filepath.Join(n.storage, "config.json") }

// await waits until it answers with a status.
func (n *node) await(status int) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		request, _ := http.NewRequest("GET", "http://"+n.addr+connect+"crm/connections", nil)
		request.Header.Set("X-User", "alice")
		res, err := client.Do(request)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == status {
				return
			}
			err = errors.New(res.Status)
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("the node does not answer %d: %v", status, err)
		}
	}
}

// kill ends it at once.
func (n *node) kill() {
	_ = n.process.Process.Kill()
	_ = n.process.Wait()
}

// stop ends it as an operator does.
func (n *node) stop() {
	n.t.Helper()
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	if err := n.process.Wait(); err != nil {
		n.t.Errorf("after SIGTERM: %v", err)
	}
}

// recordEvents has this process, a node, write to a file what it tells owners: a line
// for each event, when its transaction is committed.
func recordEvents(file string) {
	var mu sync.Mutex
	datastore.RegisterSink(func(_ context.Context, _ *datastore.DB, _ *datastore.Tx, e datastore.Event) (func(bool), error) {
		return func(committed bool) {
			if !committed {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
			if err == nil {
				_, err = fmt.Fprintln(to, e.Type, e.ResourceID)
				err = errors.Join(err, to.Close())
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}, nil
	})
}

// events returns the types of the events that it has told of a connection.
func (n *node) events(id string) (types []string) {
	n.t.Helper()
	text, err := os.ReadFile(n.file() + ".events")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kind, of, _ := strings.Cut(strings.TrimSpace(line), " "); of == id {
			types = append(types, kind)
		}
	}
	return types
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
