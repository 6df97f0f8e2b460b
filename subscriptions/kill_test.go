package subscriptions

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// kills is how often the process is ended in a test; set KILLS for more.
func kills(t *testing.T) int {
	n := 2
	if given := os.Getenv("KILLS"); given != "" {
		if _, err := fmt.Sscan(given, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// eachStore runs a test with a child on each database, both durable.
func eachStore(t *testing.T, test func(t *testing.T, c *child)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, newChild(t, "database sqlite "+filepath.Join(t.TempDir(), "connector.db")))
	})
	t.Run("postgres", func(t *testing.T) { test(t, newChild(t, inPostgres(t, pgtest.New(t).Database(t)))) })
}

// inPostgres returns the options of a connector for a database.
func inPostgres(t *testing.T, dsn string) string {
	t.Setenv("DELIVER_DSN", dsn)
	t.Setenv("DELIVER_KEYS", datastore.NewKey())
	return "database postgres {env.DELIVER_DSN}\n\t\tencryption_keys {env.DELIVER_KEYS}"
}

// A process that is killed under load, and restarted, loses no event that it has
// acknowledged.
func TestKill(t *testing.T) {
	eachStore(t, func(t *testing.T, c *child) {
		underLoad(t, c, kills(t), func() {
			c.kill()
			c.start()
		})
	})
}

// One that is stopped and restarted does not send anything twice either.
func TestRestart(t *testing.T) {
	eachStore(t, func(t *testing.T, c *child) {
		twice := underLoad(t, c, max(kills(t)/4, 2), func() {
			c.stop()
			c.start()
		})
		if twice > 0 {
			t.Errorf("%d events arrived again", twice)
		}
	})
}

// underLoad ends a child so many times while others publish. It returns how many
// events arrived twice.
func underLoad(t *testing.T, c *child, rounds int, end func()) (twice int) {
	hook := newReceiver(t, nil)
	c.subscribe("alice", "proj1", "target_url", hook.URL)
	var acknowledged sync.Map
	for round := range rounds {
		stop := make(chan struct{})
		var publishers sync.WaitGroup
		for publisher := range 8 {
			publishers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					id := fmt.Sprintf("evt_%d-%d-%d", round, publisher, n)
					body := fmt.Sprintf(`{"id":%q,"type":"task.create","resource_id":"proj1","data":{}}`, id)
					if status, _ := c.try("POST", "/events", body); status == http.StatusAccepted {
						acknowledged.Store(id, true)
					} else {
						time.Sleep(5 * time.Millisecond) // it is away
					}
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		end()
		close(stop)
		publishers.Wait()
	}
	eventuallyWithin(t, 90*time.Second, "every acknowledged event", func() bool {
		arrived, all := arrivals(hook), true
		acknowledged.Range(func(id, _ any) bool {
			all = arrived[id.(string)] > 0
			return all
		})
		return all
	})
	arrived := arrivals(hook)
	twice = len(hook.seen()) - len(arrived)
	t.Logf("%d times: %d events arrived, %d of them again", rounds, len(arrived), twice)
	return twice
}
