package vault

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

func flowOf(owner, state string) Flow {
	return Flow{
		StateHash: sha256.Sum256([]byte(state)), Owner: owner, API: "zendesk", Connection: newID(), BrowserHash: sha256.Sum256([]byte("cookie")),
		Verifier: credential.SecretOf("verifier of " + state), Data: credential.SecretOf(`{"name":"acme"}`),
		RedirectURI: "https://edge.example.com/callback", ReturnTo: "/done",
	}
}

func (n *node) begin(flow Flow) {
	n.Helper()
	if err := n.BeginFlow(n.Context(), flow); err != nil {
		n.Fatal(err)
	}
}

func (n *node) flows() (count int) {
	n.Helper()
	if err := n.db.QueryRow(n.Context(), "SELECT count(*) FROM connector_connection_flows").Scan(&count); err != nil {
		n.Fatal(err)
	}
	return count
}

func TestFlow(t *testing.T) { eachDatabase(t, taken) }

func taken(d *database) {
	n := d.node()
	flow := flowOf("alice", "state")
	n.begin(flow)
	n.begin(flowOf("bob", "other"))
	got, err := n.TakeFlow(n.Context(), flow.StateHash)
	if err != nil {
		n.Fatal(err)
	}
	if in := time.Until(got.ExpiresAt); in > FlowLifetime+time.Minute || in < FlowLifetime-time.Minute {
		n.Errorf("it expires in %v", in)
	}
	if got.Verifier.Reveal() != "verifier of state" || got.Data.Reveal() != `{"name":"acme"}` {
		n.Error("another verifier, or other data")
	}
	got.ExpiresAt, got.Verifier, got.Data = time.Time{}, flow.Verifier, flow.Data
	if !reflect.DeepEqual(got, flow) {
		n.Errorf("took %v, want %v", got, flow)
	}
	_, err = n.TakeFlow(n.Context(), flow.StateHash)
	is(n, "taken again", err, ErrUnknown)
	_, err = n.TakeFlow(n.Context(), sha256.Sum256([]byte("unknown")))
	is(n, "an unknown one", err, ErrUnknown)
	if n.flows() != 1 {
		n.Errorf("%d flows", n.flows())
	}
	large := flowOf("alice", "large")
	large.ReturnTo = string(make([]byte, maxFlow))
	is(n, "a large one", n.BeginFlow(n.Context(), large), ErrTooLarge)
}

// However many take a flow, one gets it.
func TestFlowOnce(t *testing.T) {
	eachDatabase(t, func(d *database) {
		nodes := []*node{d.node()}
		if d.path == "" {
			nodes = append(nodes, d.node(), d.node())
		}
		flow := flowOf("alice", "state")
		nodes[0].begin(flow)
		var got atomic.Int64
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				if _, err := nodes[i%len(nodes)].TakeFlow(d.Context(), flow.StateHash); err == nil {
					got.Add(1)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 {
			d.Errorf("%d have it", got.Load())
		}
	})
}

// Flows that have expired cannot be taken, and new ones remove them.
func TestFlowExpires(t *testing.T) { eachDatabase(t, expires) }

func expires(d *database) {
	n := d.node()
	flowLifetime = time.Microsecond
	d.Cleanup(func() { flowLifetime = FlowLifetime })
	for _, owner := range []string{"alice", "bob", "carol"} {
		n.begin(flowOf(owner, "of "+owner))
		time.Sleep(5 * time.Millisecond)
	}
	if n.flows() != 1 {
		n.Errorf("%d flows", n.flows())
	}
	_, err := n.TakeFlow(n.Context(), flowOf("carol", "of carol").StateHash)
	is(n, "an expired one", err, ErrUnknown)
	flowLifetime = FlowLifetime
	n.begin(flowOf("dave", "of dave"))
	n.exec("UPDATE connector_connection_flows SET expires_at = 0")
	_, err = n.TakeFlow(n.Context(), flowOf("dave", "of dave").StateHash)
	is(n, "one that lasts, whatever the column says", err, nil)
}

// An owner who begins many loses the oldest ones.
func TestFlowsAreBounded(t *testing.T) { eachDatabase(t, bounded) }

func bounded(d *database) {
	n := d.node()
	n.begin(flowOf("bob", "of bob"))
	for i := range maxFlows + 3 {
		n.begin(flowOf("alice", fmt.Sprint(i)))
	}
	if n.flows() != maxFlows+1 {
		n.Errorf("%d flows", n.flows())
	}
	for state, want := range map[string]error{"0": ErrUnknown, "2": ErrUnknown, "3": nil, fmt.Sprint(maxFlows + 2): nil, "of bob": nil} {
		_, err := n.TakeFlow(n.Context(), flowOf("", state).StateHash)
		is(n, "flow "+state, err, want)
	}
}

// A flow is its owner's, and that of its state, whatever is written into its row.
func TestMovedFlow(t *testing.T) { eachDatabase(t, movedFlow) }

func movedFlow(d *database) {
	n := d.node()
	mine, other := flowOf("alice", "mine"), flowOf("bob", "other")
	n.begin(mine)
	n.begin(other)
	n.exec("UPDATE connector_connection_flows SET sealed = (SELECT sealed FROM connector_connection_flows WHERE owner = 'bob') WHERE owner = 'alice'")
	_, err := n.TakeFlow(n.Context(), mine.StateHash)
	is(n, "another's", err, ErrUnreadable)
	n.exec("UPDATE connector_connection_flows SET owner = 'mallory'")
	_, err = n.TakeFlow(n.Context(), other.StateHash)
	is(n, "of another owner", err, ErrUnreadable)
}
