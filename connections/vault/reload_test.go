package vault

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
)

// config is a Caddy config with a handler that has a store.
type config struct {
	*testing.T
	store *Store
	app   *datastore.App
}

// provision is what Caddy does to a new config, and to one that it validates.
func provision(t *testing.T, path string) *config {
	t.Helper()
	database, err := json.Marshal(map[string]any{"database": map[string]string{"driver": "sqlite", "path": path}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{"connector": database},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &config{T: t}
	if c.app, err = datastore.Of(ctx); err != nil {
		t.Fatal(err)
	}
	if c.store, err = Open(ctx, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *config) start() *config {
	c.Helper()
	if err := c.app.Start(); err != nil {
		c.Fatal(err)
	}
	return c
}

func (c *config) end() {
	c.Helper()
	if err := errors.Join(c.app.Stop(), c.store.Close(), c.app.Cleanup()); err != nil {
		c.Error(err)
	}
}

// Validating a config touches nothing, and what is in memory survives a reload.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "connector.db")
	validated := provision(t, path)
	if _, err := validated.store.Find(t.Context(), newID()); !errors.Is(err, datastore.ErrNotReady) {
		t.Errorf("before the start: %v", err)
	}
	if _, err := validated.store.Create(t.Context(), New{Owner: "alice", API: "zendesk", Name: "acme"}, 0); !errors.Is(err, datastore.ErrNotReady) {
		t.Errorf("before the start: %v", err)
	}
	validated.end()
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after validating: %v", err)
	}

	first := provision(t, path).start()
	made, err := first.store.Create(t.Context(), New{Owner: "alice", API: "zendesk", Name: "acme", Secrets: [][]byte{[]byte("key")}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	before, err := first.store.Find(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	second := provision(t, path)
	if second.store != first.store {
		t.Error("another store on the same database")
	}
	second.start()
	first.end()
	if after, err := second.store.Find(t.Context(), made.ID); err != nil || after != before {
		t.Errorf("after the reload: %v, %v", after, err)
	}
	if _, err := second.store.Update(t.Context(), "alice", made.ID, 0, Change{Name: pointer("new")}); err != nil {
		t.Error(err)
	}
	second.end()
	if _, err := second.store.Find(t.Context(), made.ID); !errors.Is(err, datastore.ErrNotReady) {
		t.Errorf("after the end: %v", err)
	}
	third := provision(t, path).start()
	defer third.end()
	if c, err := third.store.Find(t.Context(), made.ID); err != nil || c.Name != "new" || string(c.Secret(0)) != "key" {
		t.Errorf("after a restart: %v, %v", c, err)
	}
}
