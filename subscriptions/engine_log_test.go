package subscriptions

import (
	"path/filepath"
	"strings"
	"testing"
)

// What the engine has to tell is in the log of the config that runs, not of the
// one that the engine was started with.
func TestEngineLogsToTheCurrentLog(t *testing.T) {
	e := start(t, site)
	first := e.log
	hook := newReceiver(t, nil)
	id := e.subscribe("alice", "p1", "target_url", hook.URL).id()
	e.log = filepath.Join(t.TempDir(), "another")
	e.load("", site)
	e.exec("UPDATE connector_subscriptions SET sealed = x'0100' WHERE id = $1", id)
	e.publish("p1", "task.create", "{}")
	const told = `"logger":"http.handlers.subscriptions","msg":"looking up a subscription failed","subscription":"`
	eventually(t, "the error in the log", func() bool { return strings.Contains(e.logs(), told+id) })
	if e.log = first; strings.Contains(e.logs(), told) {
		t.Error("it is in the log of the config before")
	}
}
