// Package datastoretest helps tests of what uses the database.
package datastoretest

import (
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// AwaitReady waits until a database can be used, a minute at most. An app starts
// without a server that takes long to answer, and on a machine with other work
// any server does.
func AwaitReady(t testing.TB, db *datastore.DB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		err := db.Ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// AwaitRunning does so for the database of the config that runs, if it has one.
func AwaitRunning(t testing.TB) {
	t.Helper()
	if db := datastore.Running(); db != nil {
		AwaitReady(t, db)
	}
}
