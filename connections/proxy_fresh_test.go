package connections

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// running returns the handler of the running Caddy.
func running(t testing.TB) *Handler {
	t.Helper()
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		t.Fatal(err)
	}
	var find func(caddyhttp.RouteList) *Handler
	find = func(routes caddyhttp.RouteList) *Handler {
		for _, route := range routes {
			for _, each := range route.Handlers {
				switch known := each.(type) {
				case *Handler:
					return known
				case *caddyhttp.Subroute:
					if found := find(known.Routes); found != nil {
						return found
					}
				}
			}
		}
		return nil
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		if found := find(server.Routes); found != nil {
			return found
		}
	}
	t.Fatal("there is no handler")
	return nil
}

// admission returns what Caddy does for a request before this handler gets it, and
// that with all that the edge does before it asks an API.
func admission(t testing.TB, id string) (prepare func() *http.Request, admit func() error) {
	t.Helper()
	h := running(t)
	r := httptest.NewRequest("GET", proxied(id, "/users/me.json?a=b"), nil)
	r.Header.Set("X-User", "alice")
	prepare = func() *http.Request { return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, h.server) }
	return prepare, func() error {
		ex := &exchange{handler: h, inbound: prepare()}
		return ex.admit(id, "/users/me.json")
	}
}

func (e *edge) metric(name string) string {
	e.t.Helper()
	res, err := client.Get("http://" + e.admin + "/metrics")
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, name+" ") {
			return line
		}
	}
	e.t.Fatalf("there is no metric %s", name)
	return ""
}

const fresh = "variable sub {\ndefault acme\noverridable\n}\nauth api_key header X-Api-Key\nrate_limit 100000"

// A connection that was used before costs no statement of the database.
func TestFreshConnectionIsInMemory(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(at("zendesk", a.URL+"/{{sub}}", fresh))
		id := e.connected("alice", "zendesk", byKey)
		e.call("alice", "GET", id, "/x", "").is(t, 200, "")
		before := e.metric("caddy_connections_reads_total")
		for range 20 {
			e.call("alice", "GET", id, "/x", "").is(t, 200, "")
			e.call("bob", "GET", id, "/x", "").is(t, 404, "connection_unknown")
		}
		if after := e.metric("caddy_connections_reads_total"); after != before {
			t.Errorf("%s became %s", before, after)
		}
	})
}

// What the edge does for a request does not grow unseen.
func TestAllocations(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, at("zendesk", a.URL+"/{{sub}}", fresh))
	prepare, admit := admission(t, e.connected("alice", "zendesk", byKey))
	if err := admit(); err != nil {
		t.Fatal(err)
	}
	caddys := testing.AllocsPerRun(100, func() { prepare() })
	if n := testing.AllocsPerRun(100, func() { _ = admit() }) - caddys; n > maxAllocations {
		t.Errorf("%v allocations, beside Caddy's %v", n, caddys)
	}
}

// maxAllocations is about what it takes to read a header, expand a URL and keep
// what is known of a request.
const maxAllocations = 20

// The edge's part of a request, without the network, by as many at once as there
// are processors: it takes no lock.
func BenchmarkAdmission(b *testing.B) {
	e := prepare(b)
	e.start(at("zendesk", "https://127.0.0.1/{{sub}}", strings.Replace(fresh, "rate_limit 100000", "", 1)))
	_, admit := admission(b, e.connected("alice", "zendesk", byKey))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := admit(); err != nil {
				b.Error(err)
			}
		}
	})
}

// A whole request, on connections that are kept.
func BenchmarkCall(b *testing.B) {
	a := newAPI(b, nil)
	e := prepare(b)
	e.start(at("zendesk", a.URL+"/{{sub}}", strings.Replace(fresh, "rate_limit 100000", "", 1)))
	id := e.connected("alice", "zendesk", byKey)
	kept := &http.Client{Transport: new(http.Transport)}
	defer kept.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		request, err := http.NewRequest("GET", "http://"+e.addr+proxied(id, "/x"), nil)
		if err != nil {
			b.Fatal(err)
		}
		request.Header.Set("X-User", "alice")
		res, err := kept.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if a.seen(); res.StatusCode != http.StatusOK {
			b.Fatal(res.Status)
		}
	}
}
