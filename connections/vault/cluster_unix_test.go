//go:build unix

package vault

import (
	"syscall"
	"testing"
)

// A connection that is silent, as behind a network that drops everything, is no
// reason to believe what is in memory.
func TestListenerHangs(t *testing.T) {
	d := onServer(t)
	a := d.node()
	id := a.create("alice", "acme", "key").ID
	b := d.node()
	b.find(id)
	pids := b.listeners()
	if len(pids) != 1 {
		t.Fatalf("processes that listen: %v", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pids[0], syscall.SIGCONT) }()
	before := b.cache.since.Load()
	if err := a.Delete(t.Context(), "alice", id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is gone", func() bool { _, err := b.Find(t.Context(), id); return err == ErrUnknown }) //nolint:errorlint // it is never wrapped
	eventually(t, "another connection", func() bool { return b.cache.since.Load() > before })
	other := a.create("alice", "other", "key").ID
	b.find(other)
	if _, err := a.Update(t.Context(), "alice", other, 0, Change{Name: pointer("new")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new name", func() bool { return b.find(other).Name == "new" })
}
