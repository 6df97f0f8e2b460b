package subscriptions

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// verify checks a push's signature with each of the keys.
func verify(t *testing.T, push received, keys ...string) {
	t.Helper()
	for i, plain := range keys {
		key, err := signature.ParseVerifier(plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signature.Verify(push.header, signature.Names{}, push.body, time.Now(), signature.DefaultTolerance, key); err != nil {
			t.Errorf("key %d: %v in %v", i, err, push.header)
		}
	}
}

// failFirst answers the first request 500.
func failFirst(n int, w http.ResponseWriter, _ *http.Request) {
	if n == 1 {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// change changes the database, whichever it is.
func (e *edge) change(t *testing.T, statement string, args ...any) {
	t.Helper()
	err := e.db().Write(context.Background(), func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expire ends the time of all subscriptions.
func expire(t *testing.T, e *edge) {
	t.Helper()
	e.change(t, "UPDATE connector_subscriptions SET expires_at = 1")
}
