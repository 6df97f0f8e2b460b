package proxyerror

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/internal/egress"
)

// Errors that real connections make.
func TestOf(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte(map[string]string{"/malformed": "hello\r\n\r\n"}[r.URL.Path]))
			conn.Close()
		}
	}))
	defer plain.Close()
	overTLS := httptest.NewTLSServer(http.NotFoundHandler())
	defer overTLS.Close()
	wrongVersion := httptest.NewUnstartedServer(http.NotFoundHandler())
	wrongVersion.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	wrongVersion.StartTLS()
	defer wrongVersion.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	listener.Close()

	old := &http.Transport{TLSClientConfig: &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}}
	for _, test := range []struct {
		url    string
		client http.RoundTripper
		want   string
	}{
		{closed, http.DefaultTransport, ConnectionRefused},
		{"http://no-such-host.invalid/", http.DefaultTransport, DNSError},
		{plain.URL + "/end", http.DefaultTransport, ConnectionTerminated},
		{plain.URL + "/slow", http.DefaultTransport, ResponseTimeout},
		{plain.URL + "/malformed", http.DefaultTransport, ""},
		{overTLS.URL, http.DefaultTransport, TLSCertificate},
		{wrongVersion.URL, old, TLSProtocol},
		{"https" + plain.URL[len("http"):], http.DefaultTransport, TLSProtocol},
		{plain.URL, egress.NewTransport(egress.Config{}), ProhibitedIP},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := test.client.RoundTrip(request)
		cancel()
		if err == nil {
			res.Body.Close()
			t.Errorf("%s: no error", test.url)
		} else if got := Of(err); got != test.want {
			t.Errorf("%s: %q, want %q, for %v", test.url, got, test.want, err)
		}
	}
	for text, want := range map[string]string{
		"dial tcp: lookup x: no such host": DNSError, "dial tcp 192.0.2.1:80: i/o timeout": ConnectionTimeout, "anything": "",
	} {
		if got := Of(errors.New(text)); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := Of(fmt.Errorf("x: %w", context.DeadlineExceeded)); got != ResponseTimeout {
		t.Errorf("the deadline: %q", got)
	}
}
