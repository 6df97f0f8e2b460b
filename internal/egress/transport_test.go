package egress

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestIsSetUp(t *testing.T) {
	roots := x509.NewCertPool()
	base := NewTransport(Config{RootCAs: roots}).base
	if base.Proxy != nil || base.DialTLSContext != nil || base.DialContext == nil {
		t.Error("something else than the guarded dialer may connect")
	}
	if base.TLSClientConfig.RootCAs != roots || base.TLSClientConfig.InsecureSkipVerify {
		t.Error("the certificate authorities are others")
	}
	if base.MaxIdleConns < base.MaxIdleConnsPerHost || base.MaxIdleConnsPerHost == 0 || base.IdleConnTimeout == 0 {
		t.Error("the pool has no bounds")
	}
	if newDialer(nil).Timeout != 5*time.Second {
		t.Error("a connection may take another time")
	}
}

func TestRefusedURL(t *testing.T) {
	trap := newTrap(t)
	tr := transport(t, everywhere(t, "127.0.0.1"), nil, loopback)
	for url, want := range map[string]error{
		"ftp://HOST/":               errScheme,
		"file:///etc/passwd":        errScheme,
		"gopher://HOST/x":           errScheme,
		"ws://HOST/":                errScheme,
		"httpx://HOST/":             errScheme,
		"//HOST/":                   errScheme,
		"http:HOST":                 nil, // net/http finds no host
		"http:///":                  nil,
		"http://user:s3cr3t@HOST/":  errUserinfo,
		"https://user:s3cr3t@HOST/": errUserinfo,
		"http://user@HOST/":         errUserinfo,
		"http://:s3cr3t@HOST/":      errUserinfo,
		"http://@HOST/":             errUserinfo,
		"http://public.test@HOST/":  errUserinfo,
		"ftp://user:s3cr3t@HOST/":   errScheme,
	} {
		body := &closing{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(url, "HOST", "127.0.0.1:"+trap.port, 1), body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tr.RoundTrip(req)
		if err == nil || want != nil && !errors.Is(err, want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: error %v, want %v", url, err, want)
		}
		if body.closed.Load() == 0 {
			t.Errorf("%s: the request's body is left open", url)
		}
	}
	body := &closing{Reader: strings.NewReader("x")}
	if _, err := tr.RoundTrip(&http.Request{Body: body}); err == nil || body.closed.Load() == 0 {
		t.Errorf("no URL: error %v", err)
	}
	if _, err := tr.RoundTrip(request(t, http.MethodGet, "ftp://x/")); !errors.Is(err, errScheme) {
		t.Errorf("no body: error %v", err)
	}
	trap.check(t)
}

func TestRefusalClosesTheBody(t *testing.T) {
	body := &closing{Reader: strings.NewReader("x")}
	req := request(t, http.MethodPost, "http://127.0.0.1:1/")
	req.Body = body
	if _, err := transport(t, nil, nil).RoundTrip(req); !errors.Is(err, ErrRefused) || body.closed.Load() == 0 {
		t.Errorf("error %v, closed %d times", err, body.closed.Load())
	}
}

type closing struct {
	io.Reader
	closed atomic.Int32
}

func (c *closing) Close() error {
	c.closed.Add(1)
	return nil
}

func TestNoProxy(t *testing.T) {
	trap := newTrap(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+trap.port)
		t.Setenv(strings.ToLower(name), "http://127.0.0.1:"+trap.port)
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	for _, secure := range []bool{false, true} {
		srv := serve(t, "127.0.0.1:0", secure)
		tr := transport(t, everywhere(t, "127.0.0.1"), roots(srv), loopback)
		if tr.base.Proxy != nil { // net/http reads the environment once in a process
			t.Error("there is a proxy")
		}
		if _, _, err := get(t, tr, strings.Replace(srv.URL, "127.0.0.1", certified, 1)); err != nil {
			t.Error(err)
		}
	}
	trap.check(t)
}

func TestRedirectIsNotFollowed(t *testing.T) {
	trap := newTrap(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		target := "http://127.0.0.1:" + trap.port + "/stolen"
		srv := httptest.NewServer(http.RedirectHandler(target, status))
		req := request(t, http.MethodGet, srv.URL)
		req.Header.Set("Authorization", "Bearer s3cr3t")
		res, err := transport(t, nil, nil, loopback).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status || res.Header.Get("Location") != target {
			t.Errorf("%d: got %d, %q", status, res.StatusCode, res.Header.Get("Location"))
		}
		_ = res.Body.Close()
		srv.Close()
	}
	trap.check(t)
}

func TestTLS(t *testing.T) {
	srv := serve(t, "127.0.0.1:0", true)
	url := strings.Replace(srv.URL, "127.0.0.1", certified, 1)
	resolver := everywhere(t, "127.0.0.1")

	_, _, err := get(t, transport(t, resolver, nil, loopback), url)
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Errorf("with the system's certificate authorities: error %v", err)
	}
	if _, _, err = get(t, transport(t, resolver, roots(srv), loopback), url); err != nil {
		t.Errorf("with its own: %v", err)
	}
	_, _, err = get(t, transport(t, resolver, roots(srv), loopback), strings.Replace(url, certified, "other.test", 1))
	if wrong := (x509.HostnameError{}); !errors.As(err, &wrong) {
		t.Errorf("of another name: error %v", err)
	}
}

func TestTLSVersion(t *testing.T) {
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		srv.Config.ErrorLog = quiet
		srv.StartTLS()
		if _, _, err := get(t, transport(t, nil, roots(srv), loopback), srv.URL); (err == nil) != ok {
			t.Errorf("%s: error %v", tls.VersionName(version), err)
		}
		srv.Close()
	}
}

// protocols runs test with a server of each protocol: what holds, holds for both.
func protocols(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, tr *Transport, url string)) {
	for major := 1; major <= 2; major++ {
		t.Run(fmt.Sprintf("HTTP%d", major), func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != major {
					t.Errorf("the protocol is %s", r.Proto)
				}
				handler(w, r)
			}))
			srv.Config.ErrorLog = quiet
			if srv.EnableHTTP2 = major == 2; srv.EnableHTTP2 {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			t.Cleanup(srv.Close)
			test(t, transport(t, nil, roots(srv), loopback), srv.URL)
		})
	}
}

func TestHeaderSize(t *testing.T) {
	protocols(t, func(w http.ResponseWriter, r *http.Request) {
		var size int
		fmt.Sscanf(r.URL.Path, "/%d", &size)
		w.Header().Set("X-Large", strings.Repeat("x", size))
	}, func(t *testing.T, tr *Transport, url string) {
		if _, _, err := get(t, tr, url+"/60000"); err != nil {
			t.Errorf("below the limit: %v", err)
		}
		if _, _, err := get(t, tr, url+"/70000"); err == nil {
			t.Error("no error above the limit")
		}
	})
}

func TestCompressedBodyIsLeft(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write(make([]byte, 1<<20))
	_ = zip.Close()
	protocols(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Values("Accept-Encoding"); len(got) > 0 {
			t.Errorf("the request asks for %q", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}, func(t *testing.T, tr *Transport, url string) {
		res, body, err := get(t, tr, url)
		if err != nil || body != packed.String() {
			t.Fatalf("%d bytes, %v; want %d", len(body), err, packed.Len())
		}
		if res.Header.Get("Content-Encoding") != "gzip" || res.Uncompressed {
			t.Errorf("header %v", res.Header)
		}
	})
}

func TestReadAll(t *testing.T) {
	const size = 10_000
	protocols(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		if r.URL.Path == "/cut" {
			_, _ = w.Write(make([]byte, size/2))
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(make([]byte, size))
	}, func(t *testing.T, tr *Transport, url string) {
		for _, tc := range []struct {
			method, path string
			limit        int64
			want         int
			err          error
		}{
			{"GET", "/length", size, size, nil},
			{"GET", "/length", size + 1, size, nil},
			{"GET", "/length", math.MaxInt64, size, nil},
			{"GET", "/length", size - 1, 0, ErrTooLarge},
			{"GET", "/length", 0, 0, ErrTooLarge},
			{"GET", "/length", -1, 0, ErrTooLarge},
			{"GET", "/chunked", size, size, nil},
			{"GET", "/chunked", math.MaxInt64, size, nil},
			{"GET", "/chunked", size - 1, 0, ErrTooLarge},
			{"GET", "/chunked", 0, 0, ErrTooLarge},
			{"HEAD", "/length", size - 1, 0, nil},
			{"HEAD", "/length", 0, 0, nil},
		} {
			res, err := tr.RoundTrip(request(t, tc.method, url+tc.path))
			if err != nil {
				t.Fatal(err)
			}
			body, err := ReadAll(res, tc.limit)
			if len(body) != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%s %s up to %d: %d bytes, %v; want %d, %v", tc.method, tc.path, tc.limit, len(body), err, tc.want, tc.err)
			}
			_ = res.Body.Close()
		}
		res, err := tr.RoundTrip(request(t, "GET", url+"/cut"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := ReadAll(res, size); body != nil || err == nil || errors.Is(err, ErrTooLarge) {
			t.Errorf("cut: %d bytes, %v", len(body), err)
		}
	})
}

// A deadline of ours doesn't take the connection with it.
func TestConnectionIsKept(t *testing.T) {
	protocols(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr)
	}, func(t *testing.T, tr *Transport, url string) {
		_, first, err := get(t, tr, url)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, from, err := get(t, tr, url); err != nil || from != first {
				t.Errorf("a connection from %s after that from %s, error %v", from, first, err)
			}
		}
	})
}

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
