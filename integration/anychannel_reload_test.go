package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A request that is under way when the config changes ends as it began.
func TestAnyChannelReloadDuringARequest(t *testing.T) {
	ca := newAuthority(t)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	service := newService(t, ca, func(r *http.Request, conn net.Conn) {
		if r.RequestURI == "/slow" {
			close(arrived)
			<-proceed
		}
		jsonAnswer(`"the old config"`)(r, conn)
	})
	c := startPolled(t, ca, "1s", service.url+"/manifest.json")
	done := make(chan string)
	go func() { done <- c.post(1, "/slow") }()
	await(t, "the request", arrived)
	other := newPublisher(t, ca, always(says(200, goodManifest)))
	reloaded := make(chan error)
	site := c.site("1s", other.url+"/manifest.json")
	go func() { reloaded <- c.tryLoad(ca.openEgress(), site) }() // it may wait for the request
	eventually(t, "the new config", func() bool { return c.post(1, "/like") == other.url+"/like" })
	close(proceed)
	if got := await(t, "the answer", done); got != "the old config" {
		t.Errorf("the request of the old config got %s", got)
	}
	if err := await(t, "the reload", reloaded); err != nil {
		t.Error(err)
	}
}

// Reloads under load lose no request that has reached the service, as in
// TestReloadDropsNoRequest.
func TestAnyChannelReloadDropsNoRequest(t *testing.T) {
	const reloads, clients = 10, 4
	ca := newAuthority(t)
	service := newPublisher(t, ca, always(says(200, goodManifest)))
	c := startPolled(t, ca, "1s", service.url+"/manifest.json")
	var stop atomic.Bool
	var served, broken sync.Map
	var count atomic.Int64
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			transport := &http.Transport{DisableKeepAlives: client%2 == 0}
			defer transport.CloseIdleConnections()
			for n := 0; !stop.Load(); n++ {
				path := fmt.Sprintf("/like?id=%d-%d", client, n)
				switch got, err := c.postOver(transport, path); {
				case err == nil && got == fmt.Sprintf("200 %q", service.url+path):
					served.Store(path, true)
					count.Add(1)
				case err != nil && isBrokenConnection(err):
					broken.Store(path, true)
				default:
					t.Errorf("%s: %s, %v", path, got, err)
					return
				}
			}
		})
	}
	for range reloads {
		before := count.Load()
		eventually(t, "requests between two reloads", func() bool { return t.Failed() || count.Load() >= before+2*clients })
		c.reload("1s", service.url+"/manifest.json")
	}
	stop.Store(true)
	wg.Wait()
	arrived := make(map[string]int)
	for _, request := range service.seen() {
		if path, ok := strings.CutPrefix(requestLine(request), "POST "); ok {
			arrived[path]++
		}
	}
	served.Range(func(path, _ any) bool {
		if arrived[path.(string)] != 1 {
			t.Errorf("%s was answered and arrived %d times", path, arrived[path.(string)])
		}
		return true
	})
	broken.Range(func(path, _ any) bool {
		if arrived[path.(string)] != 0 {
			t.Errorf("%s arrived and was not answered", path)
		}
		return true
	})
	t.Logf("%d requests answered over %d reloads", count.Load(), reloads)
}

// postOver sends one request of alice's over a connection of the transport's.
func (c *polled) postOver(transport *http.Transport, postToPath string) (string, error) {
	request, err := http.NewRequest(http.MethodPost, "http://"+c.addr+proxyTo("1", postToPath), strings.NewReader("{}"))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", aliceCredentials)
	request.Header.Set("Content-Type", "application/json")
	res, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return fmt.Sprintf("%d %s", res.StatusCode, body), err
}
