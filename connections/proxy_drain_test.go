package connections

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// A failure whose body does not come is not waited for: the request is sent again.
func TestRetryDoesNotWaitForABody(t *testing.T) {
	ended := make(chan struct{})
	defer close(ended)
	var asked atomic.Int64
	url := rawAPI(t, func(conn net.Conn, _ *http.Request) {
		if asked.Add(1) > 1 {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 503 Away\r\nRetry-After: 0\r\nContent-Length: %d\r\n\r\nx", maxDrained/2)
		<-ended
	})
	e := start(t, at("zendesk", url, "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	done := make(chan reply, 1)
	go func() { done <- e.call("alice", "GET", id, "/x", "") }()
	if got := within(t, "an answer", done); got.StatusCode != http.StatusOK || got.text != "ok" {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
}
