package subscriptions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roomy is site without low limits.
var roomy = strings.NewReplacer("max_per_owner 5", "", "max_events 3", "").Replace(site)

// child is a Caddy in a process of its own, to be killed.
type child struct {
	*edge
	file    string // its config
	process *exec.Cmd
}

// newChild starts one whose connector has the options.
func newChild(t *testing.T, options string) *child {
	t.Helper()
	c := &child{edge: &edge{t: t, addr: freeAddr(t)}, file: filepath.Join(t.TempDir(), "config.json")}
	config, err := adapt(fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tstorage file_system %s\n\tauto_https off\n\tlog default {\n\t\tlevel FATAL\n\t}\n"+
		"\tconnector {\n\t\t%s\n\t\tegress {\n\t\t\tallow 127.0.0.1\n\t\t}\n\t}\n}\nhttp://%s {\n\t%s\n}\n",
		t.TempDir(), options, c.addr, roomy))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	c.start()
	t.Cleanup(c.kill)
	return c
}

// start starts it, also after it has ended.
func (c *child) start() {
	c.t.Helper()
	c.process = exec.Command(os.Args[0])
	c.process.Env = append(os.Environ(), childConfig+"="+c.file)
	c.process.Stderr = os.Stderr
	if err := c.process.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.awaitReady()
}

func (c *child) awaitReady() {
	c.t.Helper()
	eventuallyWithin(c.t, 30*time.Second, "the child", func() bool {
		status, _ := c.try("GET", "/subscriptions", "")
		return status == http.StatusOK
	})
}

// kill ends it at once.
func (c *child) kill() {
	_ = c.process.Process.Kill()
	_ = c.process.Wait()
}

// stop ends it as an operator does.
func (c *child) stop() {
	c.t.Helper()
	if err := c.process.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if err := c.process.Wait(); err != nil {
		c.t.Errorf("after SIGTERM: %v", err)
	}
}

// publishMany publishes so many events of a resource in one request, and returns
// their ids.
func (e *edge) publishMany(resource string, count int) (ids []string) {
	e.t.Helper()
	event := fmt.Sprintf(`{"type":"task.create","resource_id":%q,"data":{}}`, resource)
	got := e.do("app", "POST", "/events", "["+strings.Repeat(event+",", count-1)+event+"]")
	got.is(e.t, http.StatusAccepted, "")
	var results []Published
	if err := json.Unmarshal([]byte(got.text), &results); err != nil {
		e.t.Fatal(err)
	}
	for _, result := range results {
		ids = append(ids, result.ID)
	}
	return ids
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
