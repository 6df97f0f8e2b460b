package subscriptions

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// kills is how often the process is killed in a test; set KILLS for more.
var kills = 3

// A process that is killed under load, and restarted, loses no event that it has
// acknowledged.
func TestKill(t *testing.T) {
	if n := os.Getenv("KILLS"); n != "" {
		if _, err := fmt.Sscan(n, &kills); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("sqlite", func(t *testing.T) { kill(t, "database sqlite "+filepath.Join(t.TempDir(), "connector.db")) })
	t.Run("postgres", func(t *testing.T) {
		t.Setenv("DELIVER_DSN", pgtest.New(t).Database(t))
		t.Setenv("DELIVER_KEYS", datastore.NewKey())
		kill(t, "database postgres {env.DELIVER_DSN}\n\t\tencryption_keys {env.DELIVER_KEYS}")
	})
}

func kill(t *testing.T, database string) {
	e := &edge{t: t, addr: freeAddr(t)}
	config, err := adapt(fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tstorage file_system %s\n\tauto_https off\n\tlog default {\n\t\tlevel ERROR\n\t}\n"+
		"\tconnector {\n\t\t%s\n\t\tegress {\n\t\t\tallow 127.0.0.1\n\t\t}\n\t}\n}\nhttp://%s {\n\t%s\n}\n", t.TempDir(), database, e.addr, site))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	hook := newReceiver(t, nil)
	child := startChild(t, e, file)
	e.subscribe("alice", "proj1", "target_url", hook.URL).is(t, 201, "")

	var acknowledged sync.Map
	for round := range kills {
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
					if status, _ := e.try("POST", "/events", body); status == 202 {
						acknowledged.Store(id, true)
					}
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		close(stop)
		publishers.Wait()
		child = startChild(t, e, file)
	}
	var lost []string
	eventuallyWithin(t, 90*time.Second, "every acknowledged event", func() bool {
		arrived := make(map[string]bool)
		for _, id := range hook.ids() {
			arrived[id] = true
		}
		lost = nil
		acknowledged.Range(func(id, _ any) bool {
			if !arrived[id.(string)] {
				lost = append(lost, id.(string))
			}
			return true
		})
		return len(lost) == 0
	})
	ids := hook.ids()
	distinct := make(map[string]bool)
	for _, id := range ids {
		distinct[id] = true
	}
	t.Logf("%d kills: %d events arrived, %d of them again", kills, len(distinct), len(ids)-len(distinct))
	_ = child.Process.Kill()
	_ = child.Wait()
}

func startChild(t *testing.T, e *edge, config string) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childConfig+"="+config)
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	eventually(t, "the child", func() bool {
		status, _ := e.try("GET", "/subscriptions", "")
		return status == 200
	})
	return child
}

// try is do where there may be no server.
func (e *edge) try(method, path, body string) (status int, err error) {
	request, err := http.NewRequest(method, "http://"+e.addr+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("X-User", "app")
	request.Header.Set("Content-Type", "application/json")
	res, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return res.StatusCode, nil
}

func eventuallyWithin(t *testing.T, patience time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}
