package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// B13: reloads under load drop no request that the edge has taken. The kernel
// resets a connection that waits to be accepted, and over HTTP/1.1 net/http closes
// one whose request it reads in the moment of its shutdown, whatever the handler
// is; such a request must not have reached the upstream, so that the client may
// repeat it.
func TestReloadDropsNoRequest(t *testing.T) {
	const reloads, clients = 20, 8
	u := newUpstream(t, nil)
	sites := func(i int) string { return edgeWith(t, u, fmt.Sprintf("max_body %dKiB", i+1)) }
	const protocols = "servers {\n\t\tprotocols h1 h2 h2c\n\t}"
	s := start(t, protocols, sites(0))

	var stop atomic.Bool
	var served, refused sync.Map
	var count atomic.Int64
	var wg sync.WaitGroup
	for client := range clients {
		http2 := client%2 == 0
		wg.Go(func() {
			transport := &http.Transport{DisableKeepAlives: !http2, Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(http2)
			transport.Protocols.SetHTTP1(!http2)
			defer transport.CloseIdleConnections()
			for n := 0; !stop.Load(); n++ {
				id := fmt.Sprintf("id-%d-%d.", client, n)
				err := post(transport, s.addr, id)
				switch {
				case err == nil:
					served.Store(id, true)
					count.Add(1)
				case !isBrokenConnection(err):
					t.Errorf("after %d requests, HTTP/2 %v: %v", count.Load(), http2, err)
					return
				default:
					refused.Store(id, true)
				}
			}
		})
	}
	for i := range reloads {
		before := count.Load()
		eventually(t, "requests between two reloads", func() bool { return t.Failed() || count.Load() >= before+2*clients })
		s.load(protocols, sites(i+1))
	}
	stop.Store(true)
	wg.Wait()

	arrived := make(map[string]int)
	for _, request := range u.seen() {
		arrived[headerValues(request, "X-Id")[0]]++
	}
	served.Range(func(id, _ any) bool {
		if arrived[id.(string)] != 1 {
			t.Errorf("%s was answered and arrived %d times", id, arrived[id.(string)])
		}
		return true
	})
	broken := 0
	refused.Range(func(id, _ any) bool {
		if broken++; arrived[id.(string)] != 0 {
			t.Errorf("%s arrived and was not answered", id)
		}
		return true
	})
	t.Logf("%d requests answered over %d reloads; %d connections broken before their request", count.Load(), reloads, broken)
}

func post(transport *http.Transport, addr, id string) error {
	request, err := http.NewRequest(http.MethodPost, "http://"+addr+"/connector/sales/x", strings.NewReader("hello"))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", aliceCredentials)
	request.Header.Set("X-Id", id)
	res, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != "ok") {
		err = fmt.Errorf("answer %d %q", res.StatusCode, body)
	}
	return err
}

func isBrokenConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// A request that is under way when the config changes ends as it began, and so
// does a stream.
func TestReloadDuringARequest(t *testing.T) {
	arrived, proceed := make(chan struct{}), make(chan struct{})
	u := newUpstream(t, func(_ *http.Request, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nbefore\r\n")
		close(arrived)
		<-proceed
		_, _ = io.WriteString(conn, "5\r\nafter\r\n0\r\n\r\n")
	})
	s := start(t, "", edgeWith(t, u, ""))
	done := make(chan string)
	go func() {
		done <- s.wire("GET /connector/sales/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + aliceCredentials + "\r\n\r\n")
	}()
	<-arrived
	other := newUpstream(t, nil)
	s.load("", edgeWith(t, other, "prefix /other"))
	if got := s.get("/other/sales/x"); got.StatusCode != 200 {
		t.Errorf("the new config: %d", got.StatusCode)
	}
	close(proceed)
	if wire := <-done; !strings.HasSuffix(wire, "6\r\nbefore\r\n5\r\nafter\r\n0\r\n\r\n") {
		t.Errorf("the request of the old config got %q", wire)
	}
}

// A WebSocket stays open across reloads, until its service is gone.
func TestReloadAndWebSockets(t *testing.T) {
	u := newUpstream(t, func(r *http.Request, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, conn)
	})
	sites := func(size, more string) string {
		return strings.ReplaceAll(edgeWith(t, u, "max_body "+size+"\n\t\tservice kept "+u.url+" {env.SALES_SECRET}"), "service sales", more+"service sales")
	}
	s := start(t, "", sites("1MiB", ""))
	sales, kept := s.upgrade("/connector/sales", ""), s.upgrade("/connector/kept", "")
	for i := range 3 { // the services are as they were
		s.load("", sites(fmt.Sprintf("%dMiB", i+2), ""))
		passes(t, sales, sales, "hello")
		passes(t, kept, kept, "hello")
	}
	t.Setenv("SALES_SECRET_2", "another")
	s.load("", strings.Replace(sites("1MiB", ""), "service sales "+u.url+" {env.SALES_SECRET}", "service sales "+u.url+" {env.SALES_SECRET_2}", 1))
	passes(t, kept, kept, "hello")
	arrives(t, sales, goingAway) // it was opened with the old secret
	ends(t, sales)
	s.load("", strings.Replace(sites("1MiB", ""), "service kept "+u.url+" {env.SALES_SECRET}", "", 1))
	arrives(t, kept, goingAway)
	ends(t, kept)
}

// A config that does not load leaves the running one as it is.
func TestFailedReload(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", edgeWith(t, u, ""))
	if err := s.tryLoad("", strings.ReplaceAll(edgeWith(t, u, ""), "SALES_SECRET", "NO_SUCH_SECRET")); err == nil {
		t.Fatal("it loaded")
	}
	if got := s.get("/connector/sales/x"); got.StatusCode != 200 {
		t.Errorf("%d", got.StatusCode)
	}
	wantProof(t, u.one(t), "alice")
}

// Counts survive a reload, and two handlers share the collectors.
func TestMetrics(t *testing.T) {
	closed := newUpstream(t, nil)
	closed.listener.Close()
	u := newUpstream(t, nil)
	t.Setenv("NEW_SECRET", "new-s3cr3t")
	sites := func(comment string) string {
		return fmt.Sprintf(`EDGE {
	%s
	handle /a/* {
		connector {
			prefix /a
			service metered-a %s
			service metered-closed %s
		}
	}
	handle /b/* {
		connector {
			prefix /b
			service metered-b %s
		}
	}
	handle /v {
		proxy_secret {env.NEW_SECRET} %s
		respond ok
	}
}`, accounts, u.url, closed.url, u.url, comment)
	}
	s := start(t, "metrics", sites(""))
	first := s.metrics()
	requests := func() {
		s.get("/a/metered-a/x")
		s.get("/a/metered-a/x")
		s.get("/b/metered-b/x")
		s.get("/a/metered-closed/x")
		s.get("/a/metered-none/x")
		s.get("/a/metered-a/%2e%2e%2fx")
		s.get("/v", "blink-auth-proxysecret: new-s3cr3t", "blink-auth-userid: alice")
		s.get("/v", "blink-auth-proxysecret: wrong", "blink-auth-userid: alice")
		s.get("/v")
	}
	requests()
	s.load("metrics", sites("another"))
	requests()
	last := s.metrics()
	for series, want := range map[string]float64{
		`caddy_connector_requests_total{service="metered-a",status="2xx"}`:      4,
		`caddy_connector_requests_total{service="metered-a",status="4xx"}`:      2,
		`caddy_connector_requests_total{service="metered-b",status="2xx"}`:      2,
		`caddy_connector_requests_total{service="metered-closed",status="5xx"}`: 2,
		`caddy_connector_upstream_duration_seconds_count{service="metered-a"}`:  4,
		`caddy_connector_rejections_total{reason="upstream_unreachable"}`:       2,
		`caddy_connector_rejections_total{reason="service_unknown"}`:            2,
		`caddy_connector_rejections_total{reason="path_invalid"}`:               2,
		`caddy_proxy_secret_requests_total{result="current"}`:                   2,
		`caddy_proxy_secret_requests_total{result="bad_secret"}`:                2,
		`caddy_proxy_secret_requests_total{result="no_secret"}`:                 2,
	} {
		if got := last[series] - first[series]; got != want {
			t.Errorf("%s: %v, want %v", series, got, want)
		}
	}
	for series := range last {
		for _, leak := range []string{"alice", "new-s3cr3t", "metered-none", "127.0.0.1"} {
			if strings.Contains(series, "connector_") && strings.Contains(series, leak) {
				t.Errorf("%s has %q", series, leak)
			}
		}
	}
}

// metrics scrapes the admin API.
func (s *server) metrics() map[string]float64 {
	s.t.Helper()
	series := make(map[string]float64)
	for line := range strings.Lines(s.fromAdmin("/metrics")) {
		var value float64
		name := line[:max(0, strings.LastIndexByte(line, ' '))]
		if _, err := fmt.Sscan(line[len(name):], &value); err == nil {
			series[name] = value
		}
	}
	return series
}

// The access log tells service, user and how long the integration took.
func TestAccessLog(t *testing.T) {
	u := newUpstream(t, nil)
	s := start(t, "", strings.ReplaceAll(edgeWith(t, u, "user {vars.user}"), accounts, "vars user carol"))
	s.get("/connector/sales/x")
	eventually(t, "the access log", func() bool { return strings.Contains(s.logs(), "handled request") })
	for _, want := range []string{`"service_id":"sales"`, `"user_id":"carol"`, `"upstream_latency":0.`} {
		if logs := s.logs(); !strings.Contains(logs, want) {
			t.Errorf("%s is missing: %s", want, logs)
		}
	}
}
