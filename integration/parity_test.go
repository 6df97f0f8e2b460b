package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The parity tests send the same request through Caddy's reverse_proxy and
// through connector, to the same upstream, and expect the same.

// routes are the two ways to the upstream; the first is the reference.
var routes = []struct{ name, prefix string }{
	{"reverse_proxy", "/plain"},
	{"connector", "/connector/sales"},
}

// paritySite is a site with both routes. What connector does on purpose is
// configured for reverse_proxy: it is the integration that is the host, and the
// caller's credentials stop at the edge. Both get the transport block.
func paritySite(t *testing.T, upstreamURL, transport string) string {
	t.Helper()
	t.Setenv("SALES_SECRET", proxySecret)
	return fmt.Sprintf(`EDGE {
	%s
	header X-Site yes
	handle_path /plain/* {
		reverse_proxy %s {
			header_up Host {upstream_hostport}
			header_up -Authorization
			%s
		}
	}
	connector {
		%s
		service sales %s {env.SALES_SECRET}
	}
}
`, accounts, upstreamURL, transport, transport, upstreamURL)
}

// logged adds an access log to a site. Sites in front of which requests have
// bodies do without: counting them for the log is a data race of Caddy's own
// where reverse_proxy is the handler.
func logged(site string) string { return strings.Replace(site, "EDGE {", "EDGE {\n\tlog", 1) }

// eachRoute runs a test once for each route.
func eachRoute(t *testing.T, s *server, test func(t *testing.T, s *server, prefix string)) {
	t.Helper()
	for _, route := range routes {
		t.Run(route.name, func(t *testing.T) {
			own := *s
			own.t = t
			test(t, &own, route.prefix)
		})
	}
}

// isConnector says whether a prefix is that of the route under test; what is
// asked of connector alone, reverse_proxy does not do.
func isConnector(prefix string) bool { return prefix == routes[1].prefix }

// skipRacy leaves out the reference where the race detector would only find a
// race of reverse_proxy's own (in bodyNopCloserIfNotRead): a request that may
// have a body, to an upstream of HTTP/2 that ends it first.
func skipRacy(t *testing.T, prefix string) {
	t.Helper()
	if raceEnabled && !isConnector(prefix) {
		t.Skip("a data race in reverse_proxy")
	}
}

// patience bounds every wait. It is no measure of anything.
const patience = 15 * time.Second

// await returns what a channel brings.
func await[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for: %s", what)
		panic("unreachable")
	}
}

// client returns a client of its own connections, which follows no redirects
// and adds nothing to requests.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request is one of alice, to be cancelled by the returned function, or when
// patience is over.
func (s *server) request(method, path string, body io.Reader) (*http.Request, context.CancelFunc) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", aliceCredentials)
	return r, cancel
}

type accessEntry struct {
	Status  int
	Request struct{ URI string }
}

// accessEntries waits for the access log's entries of n requests for a URI, so
// for the end of their handlers.
func (s *server) accessEntries(uri string, n int) (entries []accessEntry) {
	s.t.Helper()
	eventually(s.t, "the access log's entries of "+uri, func() bool {
		entries = nil
		for line := range strings.Lines(s.logs()) {
			var entry accessEntry
			if strings.Contains(line, `"http.log.access`) && json.Unmarshal([]byte(line), &entry) == nil && entry.Request.URI == uri {
				entries = append(entries, entry)
			}
		}
		return len(entries) == n
	})
	return entries
}

// seenBy sends a raw request along a route and returns what the upstream saw.
// In the request, PREFIX stands for the route.
func (s *server) seenBy(u *upstream, prefix, request string) string {
	s.t.Helper()
	if got := s.raw(strings.ReplaceAll(request, "PREFIX", prefix)); got.StatusCode != 200 {
		s.t.Fatalf("%s: %d %q", prefix, got.StatusCode, got.body)
	}
	return u.one(s.t)
}

// withoutProof takes from a recorded request what connector adds on purpose,
// and sorts the header lines by name.
func withoutProof(request string) string {
	head, body, _ := strings.Cut(request, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	headers := slices.DeleteFunc(lines[1:], func(line string) bool {
		name, _, _ := strings.Cut(line, ":")
		return name == "blink-auth-proxysecret" || name == "blink-auth-userid" || name == "Cdn-Loop"
	})
	slices.SortStableFunc(headers, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	return lines[0] + "\n" + strings.Join(headers, "\n") + "\n\n" + body
}

// gotBy sends a raw request along a route and returns every byte of the answer
// but the date.
func (s *server) gotBy(prefix, request string) string {
	s.t.Helper()
	return dates.ReplaceAllString(s.wire(strings.ReplaceAll(request, "PREFIX", prefix)), "")
}

var dates = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// rawRequest is a request in HTTP/1.1 after which the connection is closed.
// The lines and the body may be empty.
func rawRequest(method, lines, body string) string {
	if lines != "" && !strings.HasSuffix(lines, "\r\n") {
		lines += "\r\n"
	}
	return method + " PREFIX/x?y=1 HTTP/1.1\r\nHost: edge.example\r\nConnection: close\r\nAuthorization: " +
		aliceCredentials + "\r\n" + lines + "\r\n" + body
}

// wantIn checks that a text has all of these parts, and none of those.
func wantIn(t *testing.T, text string, want, unwanted []string) {
	t.Helper()
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in %q", part, text)
		}
	}
	for _, part := range unwanted {
		if strings.Contains(text, part) {
			t.Errorf("%q is in %q", part, text)
		}
	}
}
