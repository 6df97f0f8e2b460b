package vault

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestCreate(t *testing.T) { eachDatabase(t, create) }

func create(d *database) {
	n := d.node()
	made := n.create("alice", "acme", "key-1", "key-2")
	if !ValidID(made.ID) || made.Owner != "alice" || made.API != "zendesk" || made.Name != "acme" || made.Status != Active ||
		made.Version != 1 || made.Errors != nil || made.Variables["subdomain"] != "acme" || made.CreatedAt.IsZero() || !made.CreatedAt.Equal(made.UpdatedAt) {
		n.Errorf("made %+v %v", made, made.Variables)
	}
	if made.Opened() || made.Secret(0) != nil || made.SecretVersion(0) != 1 || made.Secrets() != 2 {
		n.Error("what Create returns has credentials")
	}
	found := n.find(made.ID)
	if !found.Opened() || string(found.Secret(0)) != "key-1" || string(found.Secret(1)) != "key-2" || found.Secret(2) != nil || found.Secret(-1) != nil {
		n.Errorf("credentials %q", found.Secret(0))
	}
	_, err := n.Create(n.Context(), New{Owner: "alice", API: "zendesk", Name: "acme"}, 0)
	is(n, "the same name", err, ErrNameTaken)
	for _, other := range []New{{Owner: "bob", API: "zendesk", Name: "acme"}, {Owner: "alice", API: "github", Name: "acme"}} {
		_, err := n.Create(n.Context(), other, 0)
		is(n, "the same name elsewhere", err, nil)
	}
	_, err = n.Create(n.Context(), New{Owner: "alice", API: "zendesk", Name: "third"}, 2)
	is(n, "above the limit", err, ErrLimit)
	_, err = n.Create(n.Context(), New{Owner: "alice", API: "zendesk", Name: "third"}, 3)
	is(n, "at the limit", err, nil)

	pending, err := n.Create(n.Context(), New{Owner: "carol", API: "zendesk", Name: "x", Secrets: [][]byte{nil, []byte("second")}}, 0)
	if err != nil || pending.Status != Pending {
		n.Errorf("without a credential: %v, %v", pending, err)
	}
	if c := n.find(pending.ID); c.Secret(0) != nil || c.SecretVersion(0) != 0 || string(c.Secret(1)) != "second" {
		n.Errorf("a credential is missing, but: %q %q", c.Secret(0), c.Secret(1))
	}
}

func TestUpdate(t *testing.T) { eachDatabase(t, update) }

func update(d *database) {
	n := d.node()
	made := n.create("alice", "acme", "key")
	n.create("alice", "other", "key")
	change := func(version int64, c Change) (*Connection, error) {
		return n.Update(n.Context(), "alice", made.ID, version, c)
	}
	if _, err := n.SetErrors(n.Context(), "alice", made.ID, 0, []string{"unauthorized"}); err != nil {
		n.Fatal(err)
	}
	for _, step := range []struct {
		what      string
		change    Change
		version   int64
		name      string
		variables map[string]string
		tested    bool
	}{
		{"nothing", Change{}, 2, "acme", map[string]string{"subdomain": "acme"}, true},
		{"the same", Change{Name: pointer("acme"), Variables: &map[string]string{"subdomain": "acme"}}, 2, "acme", map[string]string{"subdomain": "acme"}, true},
		{"a name", Change{Name: pointer("new")}, 3, "new", map[string]string{"subdomain": "acme"}, true},
		{"variables", Change{Variables: &map[string]string{"region": "eu"}}, 4, "new", map[string]string{"region": "eu"}, false},
		{"no variables", Change{Variables: &map[string]string{}}, 5, "new", map[string]string{}, false},
		{"nil variables", Change{Variables: pointer(map[string]string(nil))}, 5, "new", map[string]string{}, false},
	} {
		got, err := change(0, step.change)
		if err != nil {
			n.Fatal(step.what, err)
		}
		for _, c := range []*Connection{got, n.find(made.ID)} {
			if c.Version != step.version || c.Name != step.name || !maps.Equal(c.Variables, step.variables) || (c.Errors != nil) != step.tested {
				n.Errorf("%s: %v %q %v %v", step.what, c, c.Name, c.Variables, c.Errors)
			}
		}
	}
	if string(n.find(made.ID).Secret(0)) != "key" {
		n.Error("the credential has changed")
	}
	_, err := change(4, Change{Name: pointer("stale")})
	is(n, "an old version", err, ErrStale)
	_, err = change(5, Change{Name: pointer("other")})
	is(n, "a name that is taken", err, ErrNameTaken)
	_, err = change(5, Change{Name: pointer("fits")})
	is(n, "the current version", err, nil)
}

// Another owner's connection is as one that is not there.
func TestOwners(t *testing.T) { eachDatabase(t, owners) }

func owners(d *database) {
	n := d.node()
	made := n.create("alice", "acme", "key")
	for _, foreign := range []struct{ owner, id string }{{"bob", made.ID}, {"alice", newID()}, {"alice", strings.ToLower(made.ID)}, {"alice", "x"}, {"", made.ID}} {
		ctx := n.Context()
		_, get := n.Get(ctx, foreign.owner, foreign.id)
		_, update := n.Update(ctx, foreign.owner, foreign.id, 7, Change{Name: pointer("mine")})
		_, secrets := n.SetSecrets(ctx, foreign.owner, foreign.id, 7, 0, []byte("mine"), Active)
		_, tested := n.SetErrors(ctx, foreign.owner, foreign.id, 7, nil)
		for what, err := range map[string]error{
			"get": get, "update": update, "secrets": secrets, "errors": tested, "delete": n.Delete(ctx, foreign.owner, foreign.id),
		} {
			if err != ErrUnknown { //nolint:errorlint // not even its text may differ
				n.Errorf("%s of %q as %q: %v", what, foreign.id, foreign.owner, err)
			}
		}
	}
	if c := n.find(made.ID); c.Version != 1 || string(c.Secret(0)) != "key" {
		n.Errorf("it has changed: %v", c)
	}
	for _, id := range []string{newID(), strings.ToLower(made.ID), "", "x", made.ID + "0"} {
		_, err := n.Find(n.Context(), id)
		is(n, "finding "+id, err, ErrUnknown)
	}
}

func TestList(t *testing.T) { eachDatabase(t, list) }

func list(d *database) {
	n := d.node()
	var ids []string
	for i := range 5 {
		ids = append(ids, n.create("alice", fmt.Sprint("c", i), "one", "two").ID)
	}
	slices.Sort(ids)
	n.create("bob", "c0", "key")
	if _, err := n.Create(n.Context(), New{Owner: "alice", API: "github", Name: "c0"}, 0); err != nil {
		n.Fatal(err)
	}
	for _, page := range []struct {
		after, before string
		limit         int
		want          []string
		more          bool
	}{
		{"", "", 2, ids[:2], true}, {ids[1], "", 2, ids[2:4], true}, {ids[3], "", 2, ids[4:], false}, {ids[4], "", 2, nil, false},
		{"", ids[4], 2, ids[2:4], true}, {"", ids[2], 2, ids[:2], false}, {"", ids[0], 2, nil, false}, {"", "", 5, ids, false},
	} {
		found, total, more, err := n.List(n.Context(), "alice", "zendesk", page.after, page.before, page.limit)
		var got []string
		for _, c := range found {
			got = append(got, c.ID)
			if c.Opened() || c.Secrets() != 2 || c.Secret(0) != nil {
				n.Error("a list has credentials")
			}
		}
		if err != nil || total != 5 || more != page.more || !slices.Equal(got, page.want) {
			n.Errorf("%+v: %v, total %d, more %v, %v", page, got, total, more, err)
		}
	}
	if found, total, _, err := n.List(n.Context(), "alice", "", "", "", 20); err != nil || total != 6 || len(found) != 6 {
		n.Errorf("to all APIs: %v, %d, %v", found, total, err)
	}
}

func TestDelete(t *testing.T) { eachDatabase(t, remove) }

func remove(d *database) {
	n := d.node()
	made := n.create("alice", "acme", "key")
	n.find(made.ID)
	if err := n.Delete(n.Context(), "alice", made.ID); err != nil {
		n.Fatal(err)
	}
	_, err := n.Find(n.Context(), made.ID)
	is(n, "found after it was deleted", err, ErrUnknown)
	is(n, "deleted again", n.Delete(n.Context(), "alice", made.ID), ErrUnknown)
	for _, table := range []string{"connector_connections", "connector_connection_secrets"} {
		var rows int
		if err := n.db.QueryRow(n.Context(), "SELECT count(*) FROM "+table).Scan(&rows); err != nil || rows != 0 {
			n.Errorf("%s has %d rows, %v", table, rows, err)
		}
	}
	n.create("alice", "acme", "key") // the name is free
}

func TestSetSecrets(t *testing.T) { eachDatabase(t, setSecrets) }

func setSecrets(d *database) {
	n := d.node()
	made := n.create("alice", "acme", "old", "other")
	if _, err := n.SetErrors(n.Context(), "alice", made.ID, 1, []string{}); err != nil {
		n.Fatal(err)
	}
	if c := n.find(made.ID); c.Errors == nil || len(c.Errors) != 0 || c.Version != 2 {
		n.Errorf("a good test: %v %v", c, c.Errors)
	}
	_, err := n.SetSecrets(n.Context(), "alice", made.ID, 1, 0, []byte("new"), Active)
	is(n, "an old version", err, ErrStale)
	if _, err := n.SetSecrets(n.Context(), "alice", made.ID, 2, 0, []byte("new"), Active); err != nil {
		n.Fatal(err)
	}
	c := n.find(made.ID)
	if string(c.Secret(0)) != "new" || string(c.Secret(1)) != "other" || c.SecretVersion(0) != 2 || c.SecretVersion(1) != 1 || c.Version != 3 || c.Errors != nil {
		n.Errorf("%v: %q %q, versions %d %d", c, c.Secret(0), c.Secret(1), c.SecretVersion(0), c.SecretVersion(1))
	}
	for what, f := range map[string]func() error{
		"a large credential": func() error {
			_, err := n.SetSecrets(n.Context(), "alice", made.ID, 0, 0, make([]byte, maxSecret+1), Active)
			return err
		},
		"no scheme": func() error {
			_, err := n.SetSecrets(n.Context(), "alice", made.ID, 0, maxSchemes, nil, Active)
			return err
		},
		"a long name": func() error {
			_, err := n.Update(n.Context(), "alice", made.ID, 0, Change{Name: pointer(strings.Repeat("x", maxText+1))})
			return err
		},
		"long variables": func() error {
			_, err := n.Update(n.Context(), "alice", made.ID, 0, Change{Variables: &map[string]string{"x": strings.Repeat("x", maxVariables)}})
			return err
		},
		"long errors": func() error {
			_, err := n.SetErrors(n.Context(), "alice", made.ID, 0, []string{strings.Repeat("x", maxErrors)})
			return err
		},
		"a large new one": func() error {
			_, err := n.Create(n.Context(), New{Owner: "alice", API: "x", Name: "x", Secrets: [][]byte{make([]byte, maxSecret+1)}}, 0)
			return err
		},
	} {
		is(n, what, f(), ErrTooLarge)
	}
}
