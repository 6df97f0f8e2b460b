package subscriptions

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// onBoth runs a test with SQLite and with PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, e *edge)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t, site)) })
	t.Run("postgres", func(t *testing.T) {
		dsn := pgtest.Start(t)
		e := start(t, site)
		e.load("database postgres \""+dsn+"\"\nencryption_keys "+datastore.NewKey(), site)
		test(t, e)
	})
}

// atOnce makes n requests to subscribe at once, and returns how many had each
// status.
func (e *edge) atOnce(n int, body func(i int) string) map[int]int {
	var mu sync.Mutex
	statuses := make(map[int]int)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			got := e.do("alice", "POST", "/subscriptions", body(i))
			mu.Lock()
			defer mu.Unlock()
			statuses[got.StatusCode]++
		})
	}
	all.Wait()
	return statuses
}

func TestTheSameAtOnceIsOne(t *testing.T) {
	onBoth(t, func(t *testing.T, e *edge) {
		statuses := e.atOnce(20, func(int) string {
			return members("target_url", target, "resource_type", "task", "resource_id", "p1", "events", []string{"*"})
		})
		if statuses[http.StatusCreated] != 1 || statuses[http.StatusOK] != 19 {
			t.Errorf("statuses: %v", statuses)
		}
	})
}

func TestTheLimitHoldsAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, e *edge) {
		statuses := e.atOnce(20, func(i int) string {
			return members("target_url", target, "resource_type", "task", "resource_id", fmt.Sprint(i), "events", []string{"*"})
		})
		if statuses[http.StatusCreated] != 5 || statuses[http.StatusConflict] != 15 {
			t.Errorf("statuses: %v", statuses)
		}
	})
}

// Every statement runs on both databases.
func TestAllOperations(t *testing.T) {
	onBoth(t, func(t *testing.T, e *edge) {
		created := e.subscribe("alice", "p1", "expires_at", "2999-01-01T00:00:00Z", "ordered", true)
		path := "/subscriptions/" + created.id()
		e.do("alice", "POST", "/subscriptions", members("target_url", target, "resource_type", "project", "resource_id", "p1", "events", []string{"*"})).is(t, http.StatusOK, "")
		shown := e.do("alice", "GET", path, "")
		if shown.is(t, http.StatusOK, ""); shown.body["expires_at"] != nil || shown.body["ordered"] != true {
			t.Errorf("answer %s", shown.text)
		}
		if list := e.do("alice", "GET", "/subscriptions?limit=1", ""); len(list.body["data"].([]any)) != 1 || list.body["next_cursor"] != nil {
			t.Errorf("list %s", list.text)
		}
		e.do("alice", "PUT", path, `{"events":["task.*"]}`).is(t, http.StatusOK, "")
		e.do("alice", "POST", path+"/pause", "").is(t, http.StatusOK, "")
		e.do("alice", "POST", path+"/secret", "").is(t, http.StatusOK, "")
		if secrets := e.secrets(created.id()); len(secrets) != 2 {
			t.Errorf("%d secrets", len(secrets))
		}
		got := e.do("app", "POST", "/events", event)
		if got.is(t, http.StatusAccepted, ""); got.body["deliveries"] != 1.0 {
			t.Errorf("answer %s", got.text)
		}
		if n, err := sealedSecrets.Reencrypt(context.Background(), e.db(), e.ring()); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		e.do("bob", "DELETE", path, "").is(t, http.StatusNotFound, "subscription_unknown")
		e.do("alice", "DELETE", path, "").is(t, http.StatusNoContent, "")
		var state int
		var node *string
		err := e.db().QueryRow(context.Background(), "SELECT state, node FROM connector_deliveries WHERE subscription_id = $1", created.id()).Scan(&state, &node)
		if err != nil || state != 3 || node != nil {
			t.Errorf("state %d, node %v: %v", state, node, err)
		}
		e.do("alice", "DELETE", path, "").is(t, http.StatusNotFound, "subscription_unknown")
	})
}
