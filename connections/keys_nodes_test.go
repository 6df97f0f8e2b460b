package connections

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
	"github.com/f737063d/caddy-connector/datastore"
)

const forced = "X-Connector-Force-Refresh-Credential: true"

// withKeys returns the edge with other keys for nodes that start from now on.
func (e *edge) withKeys(keys string) *edge {
	other := *e
	database, _, _ := strings.Cut(e.options, "\n")
	other.options = database + "\nencryption_keys " + keys
	return &other
}

// reload gives a node that runs the options of an edge, at a new address.
func (n *node) reload(of *edge, connections string) {
	n.t.Helper()
	n.options = of.options
	res, err := client.Post("http://"+n.admin+"/load", "application/json", strings.NewReader(string(n.config(connections))))
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		n.t.Fatalf("reloading: %s", res.Status)
	}
	n.await(http.StatusOK)
}

// balancer spreads calls over nodes, as what stands in front of them does: where
// there is no answer, it asks the next one.
type balancer struct {
	mu        sync.Mutex
	addresses []string
	next      int

	answered, turns atomic.Int64 // calls, and those of them that had to be made again
	failed          sync.Map     // by what came instead of 200
}

func (b *balancer) add(n *node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addresses = append(b.addresses, n.addr)
}

func (b *balancer) remove(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.addresses {
		if other == address {
			b.addresses = append(b.addresses[:i:i], b.addresses[i+1:]...)
			return
		}
	}
}

// order returns the addresses, each time another one first.
func (b *balancer) order() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	first := b.next % len(b.addresses)
	return append(append([]string(nil), b.addresses[first:]...), b.addresses[:first]...)
}

func (b *balancer) call(id string, force bool) {
	for _, address := range b.order() {
		request, _ := http.NewRequest("GET", "http://"+address+proxied(id, "/me"), nil)
		request.Header.Set("X-User", "alice")
		if force {
			name, value, _ := strings.Cut(forced, ": ")
			request.Header.Set(name, value)
		}
		res, err := client.Do(request)
		if err != nil {
			b.turns.Add(1)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			b.failed.Store(fmt.Sprint(address, " ", res.Status, " ", res.Header["Proxy-Status"]), true)
		}
		b.answered.Add(1)
		return
	}
	b.failed.Store("nobody answers", true)
}

// stream makes calls of the connections all the time, some of which have the token
// refreshed, until what it returns is called.
func (b *balancer) stream(ids []string) (stop func()) {
	const workers, atMost = 2, 5000
	ended := make(chan struct{})
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for i := worker; i < atMost; i += workers {
				select {
				case <-ended:
					return
				case <-time.After(10 * time.Millisecond):
				}
				b.call(ids[i%len(ids)], i%50 < workers)
			}
		})
	}
	return func() { close(ended); all.Wait() }
}

// Keys are rotated on two nodes, one after the other, with a restart or a reload
// each, while calls go on and tokens are refreshed. The steps are those of the README.
func TestKeyRotationOnTwoNodes(t *testing.T) {
	t.Parallel()
	e := onServer(t)
	as := newAuthorization(t, oauthtest.Config{Lifetime: 10 * time.Second})
	older, newer := datastore.NewKey(), datastore.NewKey()
	config := as.block("")
	e = e.withKeys(older)
	nodes := []*node{newNode(t, e, config), newNode(t, e, config)}
	b := new(balancer)
	var ids []string
	for i := range 5 {
		ids = append(ids, nodes[0].connected("alice", "crm", fmt.Sprintf(`{"name":"%d","credentials":[%s]}`, i, as.granted(t))))
	}
	for _, n := range nodes {
		b.add(n)
	}
	defer b.stream(ids)()
	restart := func(i int, keys string) {
		t.Helper()
		n := newNode(t, e.withKeys(keys), config)
		b.add(n)
		gone := nodes[i]
		nodes[i] = n
		gone.stop()
		b.remove(gone.addr)
	}
	reload := func(i int, keys string) {
		t.Helper()
		was := nodes[i].addr
		nodes[i].reload(e.withKeys(keys), config)
		b.add(nodes[i])
		b.remove(was)
	}
	check := func(when string) {
		t.Helper()
		for _, n := range nodes {
			for _, id := range ids {
				n.call("alice", "GET", id, "/me", "", forced).is(t, http.StatusOK, "")
			}
		}
		b.failed.Range(func(what, _ any) bool { t.Errorf("%s: %s", when, what); return true })
		b.failed.Clear()
	}
	rotated := func() (n int) {
		t.Helper()
		var answer struct{ Reencrypted int }
		if err := json.Unmarshal([]byte(nodes[0].ask("POST", "/connector/keys/rotate")), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Reencrypted
	}

	check("with the old key")
	restart(0, older+" "+newer)
	check("one can open what the new key seals")
	reload(1, older+" "+newer)
	check("both can")
	nodes[0].connected("alice", "crm", `{"name":"idle","credentials":[`+as.granted(t)+`]}`) // nobody has it refreshed
	reload(0, newer+" "+older)
	check("one seals with the new key")
	restart(1, newer+" "+older)
	check("both do")
	if n := rotated(); n == 0 {
		t.Error("nothing was sealed anew")
	}
	check("rotated")
	if n := rotated(); n != 0 {
		t.Errorf("%d were sealed with the old key later", n)
	}
	restart(0, newer)
	check("one has the new key alone")
	reload(1, newer)
	check("both have")

	if as.Reuses() != 0 || as.Calls()["refresh_token"] <= len(ids) {
		t.Errorf("%v, %d used twice", as.Calls(), as.Reuses())
	}
	if got := nodes[1].do("alice", "GET", connect+"crm/connections", ""); strings.Count(got.text, `"status":"active"`) != len(ids)+1 {
		t.Errorf("%s", got.text)
	}
	t.Logf("%d calls, %d of them made again elsewhere", b.answered.Load(), b.turns.Load())
}
