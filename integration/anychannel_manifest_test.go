package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
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

// Z10: where a manifest has moved to for good, what is posted goes.
func TestManifestMoves(t *testing.T) {
	ca := newAuthority(t)
	moved := newPublisher(t, ca, always(says(200, goodManifest)))
	localhost := "https://localhost:" + portOf(moved.url)
	large := strings.Repeat(" ", 256<<10-len(goodManifest)) + goodManifest
	within := func(wire string) func(string) string { // a move to another path
		return func(target string) string {
			if target == "/int/manifest.json" {
				return wire
			}
			return says(200, goodManifest)
		}
	}
	hops := func(target string) string {
		if hop := target[len(target)-1]; '1' <= hop && hop < '5' {
			return movedTo(308, fmt.Sprintf("/hop%c", hop+1))
		}
		return within(movedTo(301, "/hop1"))(target)
	}
	rows := []struct {
		name     string
		manifest func(string) string
		like     string // where "like" leads, at the service itself if it is a path
	}{
		{"nowhere", always(says(200, goodManifest)), "/int/like"},
		{"nowhere, large", always(says(200, large)), "/int/like"},
		{"nowhere, as text", always(says(200, goodManifest, "Content-Type: text/html")), "/int/like"},
		{"301 to a path", within(movedTo(301, "/new/path/manifest.json?v=2")), "/new/path/like"},
		{"308 to a path", within(movedTo(308, "/new/path/manifest.json")), "/new/path/like"},
		{"301 to a relative path", within(movedTo(301, "deeper/manifest.json")), "/int/deeper/like"},
		{"301 to a port", always(movedTo(301, moved.url+"/a/b.json")), moved.url + "/a/like"},
		{"308 to a port", always(movedTo(308, moved.url+"/a/b.json")), moved.url + "/a/like"},
		{"301 to a host", always(movedTo(301, localhost+"/a/b.json")), localhost + "/a/like"},
		{"308 to a host in capitals", always(movedTo(308, strings.Replace(localhost, "localhost", "LOCALHOST.", 1))), localhost + "/like"},
		{"301 without a scheme", always(movedTo(301, strings.TrimPrefix(localhost, "https:")+"/a/b.json")), localhost + "/a/like"},
		{"five hops", hops, "/like"},
	}
	var manifests []string
	for _, tc := range rows {
		manifests = append(manifests, newPublisher(t, ca, tc.manifest).url+"/int/manifest.json")
	}
	c := startPolled(t, ca, "1h", manifests...)
	for i, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			c := c.in(t)
			ticket, service, want := i+1, "https://"+hostOf(manifests[i]), tc.like
			if want[0] == '/' {
				want = service + want
			}
			c.await(ticket, "ok", 1)
			c.wantPost(ticket, "like", want)
			c.wantPost(ticket, "https://"+hostOf(want)+"/like", "https://"+hostOf(want)+"/like")
			wantOld := service + "/like"
			if hostOf(want) != hostOf(service) {
				wantOld = "422"
			}
			c.wantPost(ticket, service+"/like", wantOld)
			logged, hasMoved := c.logged(ticket), want != service+"/int/like"
			if strings.Contains(logged, "the manifest has moved") != hasMoved || strings.Contains(logged, `"level":"warn"`) != hasMoved {
				t.Errorf("has moved %v: %s", hasMoved, logged)
			}
			if c.lastGood(ticket) == 0 || c.fetched(ticket, "failed", "invalid") != 0 {
				t.Error("the metrics do not say that it is good")
			}
		})
	}
}

// Z10: whatever else is found at its URL, the manifest stays where the config
// says. The warning holds nothing of what was found.
func TestManifestStays(t *testing.T) {
	const secret = "s3cr3t"
	ca := newAuthority(t)
	moved := newPublisher(t, ca, always(says(200, goodManifest)))
	stranger := newPublisher(t, newAuthority(t), always(says(200, goodManifest)))
	broken := newPublisher(t, ca, always(says(200, `{"name":"`+secret+`"}`)))
	page := newPublisher(t, ca, always(says(200, "<title>"+secret+"</title>")))
	around := func(target string) string {
		if target == "/pong" {
			return movedTo(301, "/int/manifest.json")
		}
		return movedTo(308, "/pong")
	}
	hops := func(target string) string {
		hop := 0
		if _, err := fmt.Sscanf(target, "/hop%d", &hop); err != nil || hop < 6 {
			return movedTo(301, fmt.Sprintf("/hop%d", hop+1))
		}
		return says(200, goodManifest)
	}
	tooLarge := strings.Repeat(" ", 256<<10-len(goodManifest)+1) + goodManifest
	tooLong := strings.Replace(goodManifest, "Omniwear", strings.Repeat(secret, 50), 1)
	rows := []struct {
		name     string
		manifest func(string) string
		result   string
		logged   string // in the warning
	}{
		{"302", always(movedTo(302, moved.url)), "failed", "the answer was 302"},
		{"303", always(movedTo(303, moved.url)), "failed", "the answer was 303"},
		{"307", always(movedTo(307, moved.url)), "failed", "the answer was 307"},
		{"300", always(movedTo(300, moved.url)), "failed", "the answer was 300"},
		{"201", always(says(201, goodManifest)), "failed", "the answer was 201"},
		{"404", always(says(404, goodManifest)), "failed", "the answer was 404"},
		{"500", always(says(500, goodManifest)), "failed", "the answer was 500"},
		{"no Location", always(says(301, goodManifest)), "failed", "the Location it has moved to: it is missing"},
		{"to http", always(movedTo(301, "http"+strings.TrimPrefix(moved.url, "https")+"/"+secret)), "failed", "it must begin with https://"},
		{"to userinfo", always(movedTo(301, "https://"+secret+":"+secret+"@"+hostOf(moved.url))), "failed", "must not have a user"},
		{"to a fragment", always(movedTo(308, moved.url+"/#"+secret)), "failed", "it has a fragment"},
		{"to dot segments", always(movedTo(308, moved.url+"/%2e%2e/"+secret)), "failed", "dot segment"},
		{"to no URL", always(movedTo(301, "https://["+secret)), "failed", "it is not a URL"},
		{"to a broken manifest", always(movedTo(301, broken.url)), "invalid", "manifest: id is missing"},
		{"to a page", always(movedTo(308, page.url)), "invalid", "manifest: not a JSON object"},
		{"to a private address", always(movedTo(301, "https://10.255.255.1/manifest.json")), "failed", "destination refused"},
		{"to another authority's", always(movedTo(301, stranger.url)), "failed", "certificate signed by unknown authority"},
		{"to itself", always(movedTo(301, "/int/manifest.json")), "failed", "it has moved more than 5 times"},
		{"around", around, "failed", "it has moved more than 5 times"},
		{"six hops", hops, "failed", "it has moved more than 5 times"},
		{"nothing", always(says(200, "")), "invalid", "not a JSON object"},
		{"garbage", always(says(200, goodManifest+secret)), "invalid", "not a JSON object"},
		{"compressed", always(says(200, "\x1f\x8b"+secret, "Content-Encoding: gzip")), "invalid", "not a JSON object"},
		{"a name that is too long", always(says(200, tooLong)), "invalid", "name is longer than 255 characters"},
		{"too large", always(says(200, tooLarge)), "failed", "response body too large"},
		{"too large, without a length", always("HTTP/1.1 200 OK\r\n\r\n" + tooLarge), "failed", "response body too large"},
		{"less than its length", always("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + goodManifest), "failed", "unexpected EOF"},
		{"no answer", always(""), "failed", "EOF"},
		{"an answer that is not HTTP", always(secret + "\r\n\r\n"), "failed", "the answer is malformed"},
		{"a header that is not a field", always("HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n"), "failed", "the answer is malformed"},
	}
	var manifests []string
	for _, tc := range rows {
		manifests = append(manifests, newPublisher(t, ca, tc.manifest).url+"/int/manifest.json")
	}
	c := startPolled(t, ca, "1h", manifests...)
	for i, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			c := c.in(t)
			ticket := i + 1
			c.await(ticket, tc.result, 1)
			c.wantPost(ticket, "like", strings.Replace(manifests[i], "manifest.json", "like", 1))
			c.wantPost(ticket, moved.url+"/like", "422")
			if logged := c.logged(ticket); !strings.HasPrefix(logged, `{"level":"warn"`) || !strings.Contains(logged, tc.logged) {
				t.Errorf("no warning with %q: %s", tc.logged, logged)
			}
			if c.lastGood(ticket) != 0 || c.fetched(ticket, "ok") != 0 {
				t.Error("the metrics say that it is good")
			}
		})
	}
	wantNoSecret(t, "the log", c.logs(), secret)
	for _, request := range slices.Concat(moved.seen(), stranger.seen()) {
		t.Errorf("somebody went where none should: %q", request)
	}
}

// Z10: a manifest that breaks, or goes away, leaves the last good one in its
// place, also across reloads, until it is good again.
func TestLastGoodManifestStays(t *testing.T) {
	ca := newAuthority(t)
	moved := newPublisher(t, ca, always(says(200, goodManifest)))
	service := newPublisher(t, ca, always(movedTo(301, moved.url+"/new/manifest.json")))
	url := service.url + "/int/manifest.json"
	c := startPolled(t, ca, "1s", url)
	c.await(1, "ok", 1)
	c.wantPost(1, "like", moved.url+"/new/like")
	for i, broken := range []string{
		says(500, goodManifest), "garbage", says(200, strings.Repeat(" ", 256<<10)+goodManifest), says(200, `{"name":"Omniwear"}`),
	} {
		service.publish(always(broken))
		before := c.fetched(1, "failed", "invalid")
		eventually(t, "a failure", func() bool { return c.fetched(1, "failed", "invalid") > before })
		c.wantPost(1, "like", moved.url+"/new/like")
		if i == 1 {
			c.reload("1s", url)
			c.wantPost(1, "like", moved.url+"/new/like")
		}
	}
	lastGood := c.lastGood(1)
	service.publish(always(says(200, goodManifest)))
	eventually(t, "the manifest where the config says", func() bool { return c.post(1, "like") == service.url+"/int/like" })
	c.wantPost(1, moved.url+"/like", "422")
	if now := c.lastGood(1); now <= lastGood {
		t.Errorf("last good at %v, before that at %v", now, lastGood)
	}
	if logged := c.logged(1); !strings.Contains(logged, "the manifest is where the config says again") || strings.Count(logged, "the manifest has moved") != 1 {
		t.Errorf("the log: %s", logged)
	}
}

// aWhile is how long a test waits for a fetch that must not happen: longer than
// a config waits for its first, and a poll interval of 1s. If it happens later,
// the test does not see it.
const aWhile = 1500 * time.Millisecond

// What is known of a manifest is kept across reloads, also those that fail, for
// as long as a config names it.
func TestManifestAcrossReloads(t *testing.T) {
	ca := newAuthority(t)
	moved := newPublisher(t, ca, always(says(200, goodManifest)))
	service := newPublisher(t, ca, always(movedTo(308, moved.url+"/new/manifest.json")))
	url := service.url + "/int/manifest.json"
	c := startPolled(t, ca, "1h", url)
	c.await(1, "ok", 1)
	for range 3 {
		if err := c.tryLoad(ca.openEgress(), strings.ReplaceAll(c.site("1h", url), "OMNIWEAR_METADATA", "NO_SUCH_METADATA")); err == nil {
			t.Fatal("it loaded")
		}
		c.wantPost(1, "like", moved.url+"/new/like")
		c.reload("1h", url)
		c.wantPost(1, "like", moved.url+"/new/like")
	}
	time.Sleep(aWhile)
	if n := service.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}

	moved.publish(always(says(500, "")))
	for i, other := range []string{service.url + "/int/other.json", url} {
		c.reload("1h", other)
		c.await(1, "failed", float64(i+1))
		c.wantPost(1, "like", service.url+"/int/like")
		if n := service.fetches.Load(); n != int64(i+2) {
			t.Errorf("%s: %d fetches", other, n)
		}
	}
}

// Neither a start nor its end waits for a manifest that never comes.
func TestManifestHangs(t *testing.T) {
	ca := newAuthority(t)
	hanging, closed := make(chan int, 100), make(chan int, 100)
	service := newService(t, ca, func(r *http.Request, conn net.Conn) {
		if r.Method == http.MethodPost {
			jsonAnswer(`"reached"`)(r, conn)
			return
		}
		hanging <- 1
		_, _ = io.Copy(io.Discard, conn) // until the edge gives up
		closed <- 1
	})
	c := startPolled(t, ca, "1s", service.url+"/manifest.json")
	c.wantPost(1, "/like", "reached")
	await(t, "a fetch", hanging)
	c.wantPost(1, "/like", "reached")
	c.reload("1s", service.url+"/manifest.json")
	await(t, "the end of the fetch of the config before", closed)
	c.wantPost(1, "/like", "reached")
	await(t, "a fetch", hanging)
	c.load("", "EDGE {\n}")
	await(t, "the end of the fetch", closed)
	if logged := c.logged(1); logged != "" {
		t.Errorf("the end of a config is no failure: %s", logged)
	}
}

// Nothing is fetched for a config that does not run, nor where polling is off.
func TestManifestIsNotFetched(t *testing.T) {
	ca := newAuthority(t)
	service := newPublisher(t, ca, always(says(200, goodManifest)))
	url := service.url + "/manifest.json"
	c := startPolled(t, ca, "off", url)
	config, err := adapt("{\n" + ca.openEgress() + "\n}\n" + strings.ReplaceAll(c.site("1s", url), "EDGE", "http://:"+portOf(freeAddr(t))))
	if err != nil {
		t.Fatal(err)
	}
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&parsed); err != nil {
		t.Fatal(err)
	}
	c.wantPost(1, "/like", service.url+"/like")
	time.Sleep(aWhile)
	if n := service.fetches.Load(); n != 0 {
		t.Errorf("%d fetches", n)
	}

	c.reload("1s", url)
	c.await(1, "ok", 2)
	c.load("", "EDGE {\n}")
	before := service.fetches.Load()
	time.Sleep(aWhile)
	if n := service.fetches.Load(); n != before {
		t.Errorf("%d fetches after the config", n-before)
	}
}

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
