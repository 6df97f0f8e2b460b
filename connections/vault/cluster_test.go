package vault

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// What one node changes, the others use soon, and read once.
func TestNodes(t *testing.T) {
	d := onServer(t)
	a, b, c := d.node(), d.node(), d.node()
	id := a.create("alice", "acme", "key").ID
	for _, n := range []*node{a, b, c} {
		n.find(id)
	}
	if _, err := a.Update(t.Context(), "alice", id, 0, Change{Name: pointer("new")}); err != nil {
		t.Fatal(err)
	}
	if a.find(id).Name != "new" {
		t.Error("the node itself has the old one")
	}
	for _, n := range []*node{b, c} {
		eventually(t, "the new name", func() bool { return n.find(id).Name == "new" })
	}
	for _, n := range []*node{a, b, c} {
		n.heard()
		n.find(id) // what was being read when the notice came is not kept
	}
	if got := reads(func() {
		for _, n := range []*node{a, b, c} {
			n.find(id)
		}
	}); got != 0 {
		t.Errorf("%d reads", got)
	}
	if _, err := b.SetSecrets(t.Context(), "alice", id, 0, 0, []byte("other"), Active); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new credential", func() bool { return string(a.find(id).Secret(0)) == "other" })
	if err := c.Delete(t.Context(), "alice", id); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{a, b} {
		eventually(t, "that it is gone", func() bool { _, err := n.Find(t.Context(), id); return err == ErrUnknown }) //nolint:errorlint // it is never wrapped
	}
}

// heard waits until the node has heard what was told before.
func (n *node) heard() {
	n.Helper()
	asked := elapsed()
	eventually(n, "an answer of the database", func() bool { return n.cache.verified.Load() > asked })
}

// listeners returns the server's processes that listen for a node.
func (n *node) listeners() (pids []int) {
	d := n.database
	d.Helper()
	conn, err := pgx.Connect(d.Context(), d.dsn)
	if err != nil {
		d.Fatal(err)
	}
	defer conn.Close(d.Context())
	rows, err := conn.Query(d.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
		AND application_name = $1 AND (query LIKE 'LISTEN%' OR query = '-- ping')`, n.name)
	if err == nil {
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int])
	}
	if err != nil {
		d.Fatal(err)
	}
	return pids
}

// When the connection on which a node listens is lost, all is read again once.
func TestListenerLost(t *testing.T) {
	d := onServer(t)
	a, b := d.node(), d.node()
	id := a.create("alice", "acme", "key").ID
	b.find(id)
	before := b.cache.since.Load()
	for _, pid := range b.listeners() {
		a.exec("SELECT pg_terminate_backend($1)", pid)
	}
	eventually(t, "that it listens again", func() bool { return b.cache.since.Load() > before })
	if got := reads(func() { b.find(id); b.find(id) }); got != 1 {
		t.Errorf("%d reads", got)
	}
	if _, err := a.Update(t.Context(), "alice", id, 0, Change{Name: pointer("new")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new name", func() bool { return b.find(id).Name == "new" })
}

// A node that does not listen serves from memory for a short time only.
func TestDeaf(t *testing.T) {
	d := onServer(t)
	a, b := d.node(), d.node()
	id := a.create("alice", "acme", "key").ID
	if err := b.app.Stop(); err != nil { // its workers, such as the listener
		t.Fatal(err)
	}
	began := time.Now()
	b.find(id)
	if err := a.Delete(t.Context(), "alice", id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is gone", func() bool { _, err := b.Find(t.Context(), id); return err == ErrUnknown }) //nolint:errorlint // it is never wrapped
	if took := time.Since(began); took < MaxStale {
		t.Errorf("it was not served from memory: gone after %v", took)
	}
}

// Many who change many connections at several nodes: in the end all nodes agree.
func TestNodesAgree(t *testing.T) {
	d := onServer(t)
	nodes := []*node{d.node(), d.node(), d.node()}
	var ids []string
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, nodes[0].create("alice", name, "key").ID)
	}
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			for round := range 20 {
				id := ids[(i+round)%len(ids)]
				if _, err := n.SetErrors(t.Context(), "alice", id, 0, []string{"test"}); err != nil {
					t.Error(err)
				}
				n.find(ids[round%len(ids)])
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		want, err := nodes[0].Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			eventually(t, "the last version", func() bool { return n.find(id).Version == want.Version })
		}
	}
}
