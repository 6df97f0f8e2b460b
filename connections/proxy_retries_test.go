package connections

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What can be sent again is, as the API asks; S42: what can't be is sent once.
func TestRetries(t *testing.T) {
	const key = "Idempotency-Key: 1"
	large := string(pattern(maxReplayed + 1))
	for name, tc := range map[string]struct {
		method, body string
		lines        []string
		status       int
		after        func() string // Retry-After
		want         int           // attempts
	}{
		"GET":                {"GET", "", nil, 503, seconds("0"), 3},
		"GET without":        {"GET", "", nil, 502, nil, 3},
		"GET, 1s":            {"GET", "", nil, 429, seconds("1"), 3},
		"GET, date":          {"GET", "", nil, 504, inSeconds(1), 3},
		"GET, long":          {"GET", "", nil, 503, seconds("60"), 1},
		"GET, far":           {"GET", "", nil, 503, inSeconds(60), 1},
		"GET, 429 unsaid":    {"GET", "", nil, 429, nil, 1},
		"GET, 500":           {"GET", "", nil, 500, seconds("0"), 1},
		"GET, 404":           {"GET", "", nil, 404, seconds("0"), 1},
		"PUT":                {"PUT", "body", nil, 503, seconds("0"), 3},
		"PUT, largest":       {"PUT", large[1:], nil, 503, seconds("0"), 3},
		"PUT, larger":        {"PUT", large, nil, 503, seconds("0"), 1},
		"PUT, chunked":       {"PUT", "chunked", nil, 503, seconds("0"), 1},
		"DELETE":             {"DELETE", "", nil, 503, seconds("0"), 3},
		"POST":               {"POST", "body", nil, 503, seconds("0"), 1},
		"PATCH":              {"PATCH", "body", nil, 503, seconds("0"), 1},
		"POST, key":          {"POST", "body", []string{key}, 503, seconds("0"), 3},
		"POST, larger, key":  {"POST", large, []string{key}, 503, seconds("0"), 1},
		"POST, ignored key":  {"POST", "body", []string{key, key}, 503, seconds("0"), 1},
		"POST, chunked, key": {"POST", "chunked", []string{key}, 503, seconds("0"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
				if tc.after != nil {
					w.Header().Set("Retry-After", tc.after())
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, "the last one's")
			})
			e := start(t, a.block("zendesk", "auth api_key query key"))
			id := e.connected("alice", "zendesk", byKey)
			before := testutil.ToFloat64(retriesTotal.WithLabelValues("zendesk"))
			lines, sent := append([]string{"Connection: close"}, tc.lines...), tc.body
			if tc.body == "chunked" {
				lines, sent = append(lines, "Transfer-Encoding: chunked"), "7\r\nchunked\r\n0\r\n\r\n"
			} else if tc.body != "" {
				lines = append(lines, "Content-Length: "+strconv.Itoa(len(tc.body)))
			}
			began := time.Now()
			got := e.raw(tc.method, proxied(id, "/x?a=b"), lines, sent)
			if got.StatusCode != tc.status || got.text != "the last one's" || got.Header["Proxy-Status"] != nil {
				t.Errorf("%d %s", got.StatusCode, got.text)
			}
			seen := a.seen()
			if len(seen) != tc.want || testutil.ToFloat64(retriesTotal.WithLabelValues("zendesk"))-before != float64(tc.want-1) {
				t.Fatalf("%d attempts, want %d", len(seen), tc.want)
			}
			for _, r := range seen {
				if r.body != tc.body || r.RequestURI != "/v2/x?a=b&key=s3cret-key" {
					t.Errorf("%d bytes for %s", len(r.body), r.RequestURI)
				}
			}
			if strings.HasSuffix(name, "1s") && time.Since(began) < 2*time.Second {
				t.Error("it did not wait as it was asked to")
			}
		})
	}
}

func seconds(text string) func() string { return func() string { return text } }

func inSeconds(n int) func() string {
	return func() string { return time.Now().Add(time.Duration(n) * time.Second).UTC().Format(http.TimeFormat) }
}

// An answer after all is the answer; an API that is away is tried again, too.
func TestRetryHelps(t *testing.T) {
	var asked atomic.Int64
	url := rawAPI(t, func(conn net.Conn, _ *http.Request) {
		switch asked.Add(1) {
		case 1: // it hangs up
		case 2:
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Away\r\nContent-Length: 3\r\nRetry-After: 0\r\n\r\nno\n")
		default:
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	e := start(t, at("zendesk", url, "auth none")+at("nobody", "http://"+freeAddr(t), "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	if got := e.call("alice", "GET", id, "/x", ""); got.StatusCode != 200 || got.text != "ok" || asked.Load() != 3 {
		t.Errorf("%d %s, %d attempts", got.StatusCode, got.text, asked.Load())
	}
	id = e.connected("alice", "nobody", named("a", ""))
	before := testutil.ToFloat64(retriesTotal.WithLabelValues("nobody"))
	e.call("alice", "GET", id, "/x", "").is(t, http.StatusBadGateway, "upstream_unreachable")
	if n := testutil.ToFloat64(retriesTotal.WithLabelValues("nobody")) - before; n != 2 {
		t.Errorf("%v retries", n)
	}
}

// An API that fails for all is not asked three times by all.
func TestRetryBudget(t *testing.T) {
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	e := start(t, a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	for range 50 {
		e.call("alice", "GET", id, "/x", "").is(t, http.StatusServiceUnavailable, "")
	}
	if n := len(a.seen()); n < 50+10 || n > 50+10+10 {
		t.Errorf("%d attempts for 50 requests", n)
	}
}

// A client that goes is not retried for.
func TestNoRetryForNobody(t *testing.T) {
	asked := make(chan struct{}, 3)
	url := rawAPI(t, func(conn net.Conn, _ *http.Request) {
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Away\r\nContent-Length: 0\r\nRetry-After: 2\r\n\r\n")
		asked <- struct{}{}
	})
	e := start(t, at("zendesk", url, "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	conn := e.dial()
	_, _ = io.WriteString(conn, "GET "+proxied(id, "/x")+" HTTP/1.1\r\nHost: "+e.addr+"\r\nX-User: alice\r\n\r\n")
	within(t, "a request", asked)
	conn.Close()
	soon(t, "an end", func() bool {
		return strings.Contains(e.logs(), `"msg":"handled request"`) && strings.Contains(e.logs(), `"status":499`)
	})
	if len(asked) > 0 {
		t.Error("it was sent again")
	}
}
