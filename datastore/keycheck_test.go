package datastore

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFile(t *testing.T) {
	config := inFile(t)
	f := run(t, config)
	path := config.Path + ".key"
	for name, want := range map[string]os.FileMode{path: 0o600, config.Path: 0o600, config.Path + "-wal": 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if logged := f.logged(); !strings.Contains(logged, "made a key") || !strings.Contains(logged, path) {
		t.Errorf("logged: %s", logged)
	}
	ring, err := f.db.KeyRing()
	if err != nil {
		t.Fatal(err)
	}
	sealed := ring.Seal([]byte("secret"), nil)
	f.end(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 2 {
		t.Errorf("left over: %v", names)
	}
	if database, err := os.ReadFile(config.Path); err != nil || strings.Contains(string(database), strings.TrimSpace(string(text))) {
		t.Errorf("the key is in the database, or: %v", err)
	}

	// later starts use it, and warn if others can read it
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	f = run(t, config)
	if ring, err = f.db.KeyRing(); err != nil {
		t.Fatal(err)
	}
	if plain, err := ring.Open(sealed, nil); err != nil || string(plain) != "secret" {
		t.Errorf("%q, %v", plain, err)
	}
	if logged := f.logged(); strings.Contains(logged, "made a key") || !strings.Contains(logged, "can be read by others") {
		t.Errorf("logged: %s", logged)
	}
	f.end(t)

	for name, tc := range map[string]struct {
		change  func() error
		keys    []string
		wantErr string
	}{
		"lost":            {func() error { return os.Remove(path) }, nil, "the key file " + path + " is missing: put it back"},
		"another":         {func() error { return os.WriteFile(path, []byte(NewKey()), 0o600) }, nil, "lacks the key"},
		"empty":           {func() error { return os.WriteFile(path, nil, 0o600) }, nil, "there is no key in it"},
		"keys instead":    {func() error { return nil }, []string{NewKey()}, "name that file as the last of encryption_keys"},
		"keys after loss": {func() error { return os.Remove(path) }, []string{NewKey()}, "encryption_keys lack the key"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.change(); err != nil {
				t.Fatal(err)
			}
			f, err := load(t, config, tc.keys...)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Start(); err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("%v, want %s", err, tc.wantErr)
			}
			if _, err := os.Stat(path); name == "lost" && err == nil {
				t.Error("a new key was made")
			}
			f.end(t)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := run(t, config, NewKey(), "{file."+path+"}").db.Ready(); err != nil {
		t.Errorf("the old key as second: %v", err)
	}
}

// Rows swapped in the database, and a rotation with its endpoint.
func TestRotate(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		first, second := testKeys(), testKeys()
		f := run(t, config, first)
		ring, err := f.db.KeyRing()
		if err != nil {
			t.Fatal(err)
		}
		for id := range int64(5) {
			if err := insert(t.Context(), f.db, id, sealedPrefix+fmt.Sprintf("%x", ring.Seal(fmt.Append(nil, "secret ", id), rowPlace(id)))); err != nil {
				t.Fatal(err)
			}
		}
		var text string
		if err := f.db.QueryRow(t.Context(), "SELECT text FROM test_rows WHERE id = 1").Scan(&text); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Open(unhex(text), rowPlace(2)); err != ErrNotAuthentic {
			t.Errorf("a secret of another row: %v", err)
		}
		f.end(t)

		// without the old key it does not start
		wantErr := "encryption_keys lack the key " + ring.keys[0].id.String()
		f, err = load(t, config, second)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Start(); config.Driver == SQLite && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("got %v", err)
		}
		if config.Driver == PostgreSQL {
			eventually(t, "the keys are refused", func() bool { return strings.Contains(f.db.Ready().Error(), wantErr) })
		}
		f.end(t)

		f = run(t, config, second, first)
		if status, body := admin(t, http.MethodPost, "/connector/keys/rotate"); status != 200 || body != `{"reencrypted":5}`+"\n" {
			t.Fatalf("%d %s", status, body)
		}
		if status, body := admin(t, http.MethodPost, "/connector/keys/rotate"); status != 200 || body != `{"reencrypted":0}`+"\n" {
			t.Fatalf("again: %d %s", status, body)
		}
		f.end(t)

		f = run(t, config, second) // the old key is not needed any more
		if ring, err = f.db.KeyRing(); err != nil {
			t.Fatal(err)
		}
		if err := f.db.QueryRow(t.Context(), "SELECT text FROM test_rows WHERE id = 4").Scan(&text); err != nil {
			t.Fatal(err)
		}
		if plain, err := ring.Open(unhex(text), rowPlace(4)); err != nil || string(plain) != "secret 4" {
			t.Errorf("%q, %v", plain, err)
		}
		f.end(t)

		f, err = load(t, config, first) // but it is not enough either
		if err != nil {
			t.Fatal(err)
		}
		if f.Start() == nil && f.db.Ready() == nil {
			t.Error("the old key alone is accepted after the rotation")
		}
	})
}

// A rotation that fails keeps the old key needed.
func TestRotateFails(t *testing.T) {
	config, first := inFile(t), testKeys()
	f := run(t, config, first)
	if err := insert(t.Context(), f.db, 1, sealedPrefix+"0102"); err != nil {
		t.Fatal(err)
	}
	f.end(t)
	f = run(t, config, testKeys(), first)
	status, body := admin(t, http.MethodPost, "/connector/keys/rotate")
	if status != 500 || !strings.Contains(body, "re-encrypting what test keeps: not a sealed record") {
		t.Errorf("%d %s", status, body)
	}
	var n int
	if err := f.db.QueryRow(context.Background(), "SELECT count(*) FROM connector_keys").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d checks, %v", n, err)
	}
}

// admin asks the admin endpoint, and returns its answer as Caddy writes it.
func admin(t *testing.T, method, path string) (status int, body string) {
	t.Helper()
	for _, route := range new(adminAPI).Routes() {
		if route.Pattern != path {
			continue
		}
		w := httptest.NewRecorder()
		if err := route.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil)); err != nil {
			return statusOf(t, err), err.Error()
		}
		return w.Code, w.Body.String()
	}
	t.Fatal("no such route")
	return 0, ""
}
