package datastore

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// seal writes a row that is sealed with a ring.
func seal(ctx context.Context, tx *Tx, ring *KeyRing, id int64) error {
	if err := tx.Remember(ctx, ring); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES ($1, $2)", id, sealedPrefix+fmt.Sprintf("%x", ring.Seal([]byte("secret"), rowPlace(id))))
	return err
}

// A key with which something is sealed while, or after, the keys are rotated stays
// one that is needed.
func TestRememberedKeys(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		older, newer := testKeys(), testKeys()
		f := run(t, config, older)
		old, err := f.db.KeyRing()
		if err != nil {
			t.Fatal(err)
		}
		next := run(t, config, newer, older)
		f.end(t)
		rotate := func(want string) {
			t.Helper()
			if status, body := admin(t, http.MethodPost, "/connector/keys/rotate"); status != 200 || body != want+"\n" {
				t.Errorf("%d %s, want %s", status, body, want)
			}
		}
		sealed, done := make(chan struct{}), make(chan error)
		go func() {
			done <- next.db.Write(context.Background(), func(ctx context.Context, tx *Tx) error {
				err := seal(ctx, tx, old, 1)
				close(sealed)
				eventually(t, "a rotation", isRotating)
				time.Sleep(100 * time.Millisecond) // until it waits for this transaction
				return err
			})
		}()
		<-sealed
		rotate(`{"reencrypted":1}`)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		rotate(`{"reencrypted":0}`)

		err = next.db.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return seal(ctx, tx, old, 2) })
		if err != nil {
			t.Fatal(err)
		}
		without := func() bool {
			t.Helper()
			f, err := load(t, config, newer)
			if err != nil {
				t.Fatal(err)
			}
			defer f.end(t)
			return f.Start() == nil && f.db.Ready() == nil
		}
		if without() {
			t.Error("it starts without a key that something is sealed with")
		}
		rotate(`{"reencrypted":1}`)
		if !without() {
			t.Error("it does not start without a key that nothing is sealed with")
		}
	})
}

func isRotating() bool {
	if rotating.TryLock() {
		rotating.Unlock()
		return false
	}
	return true
}
