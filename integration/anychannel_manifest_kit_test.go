package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

const goodManifest = `{"name":"Omniwear","id":"com.omniwear","urls":{"admin_ui":"https://omniwear.example/admin"}}`

// publisher is an integration service that publishes a manifest. It answers a
// POST with where that has come to.
type publisher struct {
	*upstream
	manifest atomic.Pointer[func(target string) string]
	fetches  atomic.Int64
}

// newPublisher starts a service. Manifest returns the bytes that it answers to a
// GET.
func newPublisher(t *testing.T, ca *authority, manifest func(target string) string) *publisher {
	t.Helper()
	p := new(publisher)
	p.publish(manifest)
	p.upstream = newService(t, ca, func(r *http.Request, conn net.Conn) {
		if r.Method == http.MethodGet {
			p.fetches.Add(1)
			_, _ = io.WriteString(conn, (*p.manifest.Load())(r.RequestURI))
			return
		}
		jsonAnswer(fmt.Sprintf("%q", "https://"+r.Host+r.RequestURI))(r, conn)
	})
	return p
}

func (p *publisher) publish(manifest func(target string) string) { p.manifest.Store(&manifest) }

// always answers the same wherever it is asked.
func always(wire string) func(string) string { return func(string) string { return wire } }

// says is an answer on the wire.
func says(status int, body string, header ...string) string {
	lines := strings.Join(append(header, "Connection: close", fmt.Sprint("Content-Length: ", len(body))), "\r\n")
	return fmt.Sprintf("HTTP/1.1 %d Status\r\n%s\r\n\r\n%s", status, lines, body)
}

func movedTo(status int, location string) string {
	return says(status, goodManifest, "Location: "+location)
}

// polled is an edge whose integrations have manifests that are fetched. Each has
// an instance and a ticket, whose number is its own, from 1.
type polled struct {
	*server
	ca   *authority
	name string // that the integrations' begin with, and those of no other test
}

// serial makes names and configs differ.
var serial atomic.Int64

func startPolled(t *testing.T, ca *authority, poll string, manifests ...string) *polled {
	t.Helper()
	c := &polled{ca: ca, name: fmt.Sprintf("polled%d-", serial.Add(1))}
	t.Setenv("OMNIWEAR_METADATA", omniwear)
	c.server = start(t, ca.openEgress(), c.site(poll, manifests...))
	return c
}

func (c *polled) site(poll string, manifests ...string) string {
	var block strings.Builder
	for i, manifest := range manifests {
		fmt.Fprintf(&block, `integration %[1]s {
			manifest %[2]s
			poll %[3]s
		}
		instance omniwear%[4]d {
			integration %[1]s
			metadata {env.OMNIWEAR_METADATA}
		}
		tickets static {
			%[4]d omniwear%[4]d
		}
		`, c.integration(i+1), manifest, poll, i+1)
	}
	return fmt.Sprintf("EDGE {\n\t%s\n\tany_channel {\n\t\t%s\n\t\tmax_body %dKiB\n\t}\n}\n", accounts, &block, serial.Add(1))
}

// in is the edge for a part of its test.
func (c *polled) in(t *testing.T) *polled {
	edge, part := *c.server, *c
	edge.t, part.server = t, &edge
	return &part
}

// reload replaces the config by one that differs at least a little.
func (c *polled) reload(poll string, manifests ...string) {
	c.t.Helper()
	c.load(c.ca.openEgress(), c.site(poll, manifests...))
}

func (c *polled) integration(ticket int) string { return fmt.Sprint(c.name, ticket) }

// post returns the URL that a post_to_path has led to, or the answer's status.
func (c *polled) post(ticket int, postToPath string) string {
	c.t.Helper()
	got := c.do("POST", proxyTo(fmt.Sprint(ticket), postToPath), "{}", asJSON)
	var reached string
	if got.StatusCode != 200 || json.Unmarshal([]byte(got.body), &reached) != nil {
		return fmt.Sprint(got.StatusCode)
	}
	return reached
}

func (c *polled) wantPost(ticket int, postToPath, want string) {
	c.t.Helper()
	if got := c.post(ticket, postToPath); got != want {
		c.t.Errorf("%s leads to %s, want %s", postToPath, got, want)
	}
}

// fetched returns how many fetches have had one of the results.
func (c *polled) fetched(ticket int, results ...string) (count float64) {
	c.t.Helper()
	series := c.metrics()
	for _, result := range results {
		count += series[fmt.Sprintf(`caddy_any_channel_manifest_fetches_total{integration="%s",result="%s"}`, c.integration(ticket), result)]
	}
	return count
}

// lastGood returns the metric of that name, 0 for none.
func (c *polled) lastGood(ticket int) float64 {
	c.t.Helper()
	return c.metrics()[fmt.Sprintf(`caddy_any_channel_manifest_timestamp_seconds{integration="%s"}`, c.integration(ticket))]
}

func (c *polled) await(ticket int, result string, count float64) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%v fetches with the result %s", count, result), func() bool { return c.fetched(ticket, result) >= count })
}

// logged returns the lines of the log that name the integration.
func (c *polled) logged(ticket int) (lines string) {
	c.t.Helper()
	for line := range strings.Lines(c.logs()) {
		if strings.Contains(line, `"integration":"`+c.integration(ticket)+`"`) {
			lines += line
		}
	}
	return lines
}

func hostOf(url string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	return host
}
