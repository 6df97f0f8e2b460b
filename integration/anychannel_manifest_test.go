package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

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
