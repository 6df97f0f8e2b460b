package egress

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
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
