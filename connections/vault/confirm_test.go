package vault

import (
	"strings"
	"testing"
	"time"
)

// A confirmation is of one version of a credential, and of none that came later.
func TestConfirm(t *testing.T) {
	eachDatabase(t, func(d *database) {
		n := d.node()
		set := func(id string, status Status) {
			t.Helper()
			_, err := n.SetSecrets(n.Context(), "alice", id, 0, 0, []byte("token"), status)
			is(n, "the token", err, nil)
		}
		confirm := func(what, owner, id string, version int64, schemes int, want error, status Status) {
			t.Helper()
			_, err := n.Confirm(n.Context(), owner, id, 0, version, schemes)
			is(n, what, err, want)
			if c := n.find(id); c.Status != status {
				t.Errorf("%s: %s, want %s", what, c.Status, status)
			}
		}
		c := n.create("alice", "main", "s3cret")
		confirm("an active one", "alice", c.ID, 1, 1, nil, Active)
		set(c.ID, Unconfirmed)
		confirm("the version before", "alice", c.ID, 1, 1, ErrStale, Unconfirmed)
		confirm("somebody else", "bob", c.ID, 2, 1, ErrUnknown, Unconfirmed)
		set(c.ID, Unconfirmed)
		confirm("the sign-in before", "alice", c.ID, 2, 1, ErrStale, Unconfirmed)
		confirm("this one", "alice", c.ID, 3, 1, nil, Active)

		several := n.create("alice", "several", "s3cret")
		set(several.ID, Unconfirmed)
		confirm("where another is missing", "alice", several.ID, 2, 2, nil, Pending)
	})
}

// Who had to connect again is told that they have, also if that took a confirmation.
func TestRecoveredWhenConfirmed(t *testing.T) {
	n := inFile(t).node()
	c := n.create("alice", "main", "s3cret")
	_, err := n.Lease(n.Context(), c.ID, 0, 1, "node", time.Minute)
	is(n, "the lease", err, nil)
	_, err = n.MarkReauth(n.Context(), c.ID, 0, 1, "node", "invalid_grant")
	is(n, "the mark", err, nil)
	_, err = n.SetSecrets(n.Context(), "alice", c.ID, 0, 0, []byte("new"), Unconfirmed)
	is(n, "the token", err, nil)
	_, err = n.Confirm(n.Context(), "alice", c.ID, 0, 2, 1)
	is(n, "the confirmation", err, nil)
	var types []string
	for _, event := range toldOf(c.ID) {
		name, _, _ := strings.Cut(event, " ")
		types = append(types, name)
	}
	if got := strings.Join(types, " "); got != "connection.created connection.reauth_required connection.recovered" {
		t.Errorf("told of %s", got)
	}
	if c := n.find(c.ID); c.Reason != "" {
		t.Errorf("the reason is still %q", c.Reason)
	}
}
