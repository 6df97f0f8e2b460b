package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// registry is a context that counts those which derive from it.
type registry struct {
	context.Context
	done chan struct{}
	live atomic.Int32
}

func (r *registry) Done() <-chan struct{} { return r.done }

// AfterFunc is what package context asks for.
func (r *registry) AfterFunc(func()) func() bool {
	r.live.Add(1)
	return func() bool { r.live.Add(-1); return true }
}

func TestDeadlineIsReleased(t *testing.T) {
	protocols(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("body"))
		if r.URL.Path == "/cut" {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}, func(t *testing.T, tr *Transport, url string) {
		for name, end := range map[string]func(io.ReadCloser){
			"/close": func(body io.ReadCloser) { _ = body.Close() },
			"/end":   func(body io.ReadCloser) { _, _ = io.Copy(io.Discard, body) },
			"/cut":   func(body io.ReadCloser) { _, _ = io.Copy(io.Discard, body) },
		} {
			ctx := &registry{Context: context.Background(), done: make(chan struct{})}
			res, err := tr.RoundTrip(request(t, http.MethodGet, url+name).WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			if ctx.live.Load() != 1 || res.Request.Context().Err() != nil {
				t.Errorf("%s: released before the end", name)
			}
			end(res.Body)
			if ctx.live.Load() != 0 || !errors.Is(res.Request.Context().Err(), context.Canceled) {
				t.Errorf("%s: not released", name)
			}
			_ = res.Body.Close()
		}
		ctx := &registry{Context: context.Background(), done: make(chan struct{})}
		if _, err := tr.RoundTrip(request(t, http.MethodGet, "http://10.0.0.1/").WithContext(ctx)); err == nil || ctx.live.Load() != 0 {
			t.Errorf("not released after an error: %v", err)
		}
	})
}

func TestOwnDeadlineIsLeft(t *testing.T) {
	protocols(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("body"))
	}, func(t *testing.T, tr *Transport, url string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req := request(t, http.MethodGet, url).WithContext(ctx)
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, wrapped := res.Body.(*timedBody); wrapped || res.Request != req {
			t.Error("the request or the body is wrapped")
		}
	})
	u := request(t, http.MethodGet, "https://example.com/").URL
	if n := testing.AllocsPerRun(100, func() { _ = check(u) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// inMemory returns a Transport whose connections end at serve, for the clock of
// a synctest bubble. What serve leaves unread is read until the other side closes.
func inMemory(t *testing.T, serve func(net.Conn)) *Transport {
	tr := transport(t, nil, nil)
	var serving sync.WaitGroup
	tr.base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		serving.Go(func() {
			defer server.Close()
			serve(server)
			_, _ = io.Copy(io.Discard, server)
		})
		return client, nil
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		serving.Wait()
	})
	return tr
}

// answer reads a request and sends parts, with a pause before each.
func answer(pause time.Duration, parts ...string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		for _, part := range parts {
			time.Sleep(pause)
			if _, err := io.WriteString(conn, part); err != nil {
				return
			}
		}
	}
}

func TestDeadlines(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	trickle := append([]string{head[:17]}, strings.Split(strings.Repeat("X-A: b\r\n;", 1000), ";")...)
	for _, tc := range []struct {
		name     string
		url      string
		own      time.Duration // the context's deadline
		serve    func(net.Conn)
		after    time.Duration // how long the request takes
		deadline bool          // whether its error is context.DeadlineExceeded
		body     string
	}{
		{name: "all is well", serve: answer(time.Second, head, "0123456789"), after: 2 * time.Second, body: "0123456789"},
		{name: "no handshake", url: "https://x/", serve: func(net.Conn) {}, after: handshakeTimeout},
		{name: "no handshake, own deadline", url: "https://x/", own: time.Hour, serve: func(net.Conn) {}, after: handshakeTimeout},
		{name: "no header", own: time.Hour, serve: answer(0), after: headerTimeout, deadline: true},
		{name: "trickling header", own: time.Hour, serve: answer(time.Second, trickle...), after: headerTimeout, deadline: true},
		{name: "no header, own deadline", own: 2 * time.Second, serve: answer(0), after: 2 * time.Second, deadline: true},
		{name: "no body", serve: answer(time.Second, head), after: totalTimeout, deadline: true},
		{name: "trickling body", serve: answer(7*time.Second, strings.Split(head+",0,1,2,3,4,5,6,7,8,9", ",")...), after: totalTimeout, deadline: true},
		{name: "no body, own deadline", own: 3 * time.Second, serve: answer(time.Second, head), after: 3 * time.Second, deadline: true},
		{name: "no body, own long deadline", own: time.Hour, serve: answer(time.Second, head), after: time.Hour, deadline: true},
		{name: "slow body, own deadline", own: time.Hour, serve: answer(20*time.Second, head, "01234", "56789"), after: time.Minute, body: "0123456789"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := inMemory(t, tc.serve)
				start := time.Now()
				if tc.url == "" {
					tc.url = "http://x/"
				}
				req := request(t, http.MethodGet, tc.url)
				if tc.own > 0 {
					ctx, cancel := context.WithTimeout(t.Context(), tc.own)
					defer cancel()
					req = req.WithContext(ctx)
				}
				body, err := func() ([]byte, error) {
					res, err := tr.RoundTrip(req)
					if err != nil {
						return nil, err
					}
					defer res.Body.Close()
					return ReadAll(res, 100)
				}()
				if time.Since(start) != tc.after {
					t.Errorf("it took %s, not %s", time.Since(start), tc.after)
				}
				if (err == nil) != (tc.body != "") || string(body) != tc.body || errors.Is(err, context.DeadlineExceeded) != tc.deadline {
					t.Errorf("%q, error %v", body, err)
				}
			})
		})
	}
}

func TestCancelReachesTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := inMemory(t, answer(0, "HTTP/1.1 200 OK\r\n\r\n"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		res, err := tr.RoundTrip(request(t, http.MethodGet, "http://x/").WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := ReadAll(res, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}
