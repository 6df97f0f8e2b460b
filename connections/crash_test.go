package connections

import (
	"context"
	"database/sql"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// moment is when a process is killed that refreshes a token.
type moment int

const (
	beforeRotation moment = iota // the server has got the request, and no more
	beforeAnswer                 // it has made the old token void, and has not answered
	beforeStore                  // it has answered, and the database is busy
)

// holding is an authorization server that can hold back what comes of a refresh
// token, the first time that it gets it.
type holding struct {
	*authorization
	mu    sync.Mutex
	holds map[string]*heldBack
	asked map[string]int // how often it got a refresh token
}

// heldBack is what comes of one.
type heldBack struct {
	moment  moment
	reached chan struct{} // closed when it has come so far
	answer  chan struct{} // closed when the answer may go out
}

func newHolding(t *testing.T, c oauthtest.Config) *holding {
	t.Helper()
	h := &holding{authorization: newAuthorization(t, c), holds: make(map[string]*heldBack), asked: make(map[string]int)}
	listening := httptest.NewServer(h)
	t.Cleanup(listening.Close)
	h.url = listening.URL
	return h
}

// ServeHTTP implements http.Handler.
func (h *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("refresh_token")
	h.mu.Lock()
	h.asked[token]++
	held := h.holds[token]
	delete(h.holds, token)
	h.mu.Unlock()
	if held == nil {
		h.Server.ServeHTTP(w, r)
		return
	}
	if held.moment == beforeRotation {
		close(held.reached)
		<-r.Context().Done() // of who was killed
		return
	}
	made := httptest.NewRecorder()
	h.Server.ServeHTTP(made, r)
	close(held.reached)
	select {
	case <-r.Context().Done():
	case <-held.answer:
		maps.Copy(w.Header(), made.Header())
		w.WriteHeader(made.Code)
		_, _ = w.Write(made.Body.Bytes())
	}
}

// hold has it hold back what comes of a refresh token.
func (h *holding) hold(token string, at moment) *heldBack {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := &heldBack{at, make(chan struct{}), make(chan struct{})}
	h.holds[token] = held
	return held
}

func (h *holding) times(token string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[token]
}

// crash is a connection whose refresh a process doesn't survive.
type crash struct {
	what   string
	server *holding
	api    string
	moment moment
	lost   bool // the user must connect again

	id, token string
	held      *heldBack
}

// A process is killed while it refreshes tokens, in each state that a token can
// be in then. What the servers still honour is not lost, and needs no sign-in; what
// they have revoked is told once. Each token is sent again once.
func TestKilledWhileRefreshing(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, e *edge) {
		t.Parallel()
		strict := newHolding(t, oauthtest.Config{})
		lenient := newHolding(t, oauthtest.Config{Leeway: 10 * time.Minute}) // for slow machines
		config := strict.block("") + strings.Replace(lenient.api(), "api crm", "api lenient", 1)
		crashes := []*crash{
			{what: "not rotated", server: strict, api: "crm", moment: beforeRotation},
			{what: "rotated, with leeway", server: lenient, api: "lenient", moment: beforeAnswer},
			{what: "rotated", server: strict, api: "crm", moment: beforeAnswer, lost: true},
			{what: "answered, with leeway", server: lenient, api: "lenient", moment: beforeStore},
			{what: "answered", server: strict, api: "crm", moment: beforeStore, lost: true},
		}
		onServer := strings.HasSuffix(t.Name(), "postgres")
		killed := newNode(t, e, config)
		next := killed
		if onServer {
			next = newNode(t, e, config)
		}
		for _, c := range crashes {
			c.begin(t, killed)
		}
		db := e.open()
		free := busy(t, db, crashes)
		for _, c := range crashes {
			if c.moment == beforeStore {
				close(c.held.answer)
			}
		}
		if onServer {
			soon(t, "a node that waits to store both", func() bool { return blocked(t, db) == 2 })
		} else {
			time.Sleep(300 * time.Millisecond) // nothing shows it; sooner, the moment is another one
		}
		killed.kill()
		free()
		if !onServer {
			next = newNode(t, e, config)
		}
		var all sync.WaitGroup
		for _, c := range crashes {
			all.Go(func() { c.recover(t, next) })
		}
		all.Wait()
	})
}

// A process that is started again after it was killed while it refreshed tokens
// does not wait for a call: by then, a server may honour the old token no more.
func TestRefreshIsResumed(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, e *edge) {
		t.Parallel()
		strict := newHolding(t, oauthtest.Config{})
		lenient := newHolding(t, oauthtest.Config{Leeway: 10 * time.Minute})
		config := strict.block("") + strings.Replace(lenient.api(), "api crm", "api lenient", 1)
		crashes := []*crash{
			{what: "rotated, with leeway", server: lenient, api: "lenient", moment: beforeAnswer},
			{what: "rotated", server: strict, api: "crm", moment: beforeAnswer, lost: true},
		}
		killed := newNode(t, e, config)
		for _, c := range crashes {
			c.begin(t, killed)
		}
		killed.kill()
		again := newNode(t, e, config)
		soon(t, "what became of the tokens", func() bool {
			lost := again.do("alice", "GET", placeOf("crm", crashes[1].id), "").body["status"] == "reauth_required"
			return lost && strings.Contains(again.logs(), "a refresh that was not finished was done again")
		})
		for _, c := range crashes {
			c.recover(t, again)
		}
	})
}

// api is the block of its API alone.
func (as *authorization) api() string {
	block := as.block("")
	return block[strings.Index(block, "api crm"):]
}

// begin makes the connection, and a call that has its token refreshed. It returns
// when the server has come to the moment.
func (c *crash) begin(t *testing.T, n *node) {
	t.Helper()
	credential := c.server.granted(t)
	_, rest, _ := strings.Cut(credential, `"refresh_token":"`)
	c.token, _, _ = strings.Cut(rest, `"`)
	c.held = c.server.hold(c.token, c.moment)
	c.id = n.connected("alice", c.api, `{"name":"`+c.what+`","credentials":[`+credential+`]}`)
	request, _ := http.NewRequest("GET", "http://"+n.addr+proxied(c.id, "/me"), nil)
	request.Header.Set("X-User", "alice")
	go func() {
		if res, err := client.Do(request); err == nil { // it is killed before
			res.Body.Close()
			t.Errorf("%s: answered %s", c.what, res.Status)
		}
	}()
	within(t, c.what, c.held.reached)
}

// recover calls until there is an answer that is final.
func (c *crash) recover(t *testing.T, n *node) {
	want, code, events := http.StatusOK, "", []string(nil)
	if c.lost {
		want, code, events = http.StatusFailedDependency, "connection_reauth_required", []string{"connection.reauth_required"}
	}
	status := 0
	for end := time.Now().Add(patience); time.Now().Before(end) && status != want; {
		got := n.call("alice", "GET", c.id, "/me", "")
		status = got.StatusCode
		if waits := status == http.StatusServiceUnavailable && got.body["code"] == "token_unavailable" && got.Header.Get("Retry-After") != ""; !waits && status != want {
			t.Errorf("%s: %d %s", c.what, status, got.text)
			return
		}
	}
	for range 3 {
		if got := n.call("alice", "GET", c.id, "/me", ""); got.StatusCode != want || code != "" && got.body["code"] != code {
			t.Errorf("%s: %d %s, want %d", c.what, got.StatusCode, got.text, want)
		}
	}
	if times := c.server.times(c.token); times != 2 {
		t.Errorf("%s: the token was sent %d times", c.what, times)
	}
	got := n.do("alice", "GET", placeOf(c.api, c.id), "")
	if c.lost != (got.body["status"] == "reauth_required" && got.body["reason"] == "invalid_grant") || !c.lost && got.body["status"] != "active" {
		t.Errorf("%s: %s", c.what, got.text)
	}
	if told := n.events(c.id); !slices.Equal(told, events) {
		t.Errorf("%s: told %v", c.what, told)
	}
}

// open opens the database past the edge.
func (e *edge) open() *sql.DB {
	e.t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(e.storage, "connector.db")+"?_pragma=busy_timeout(5000)&_txlock=immediate"
	if _, server, ok := strings.Cut(e.options, "database postgres "); ok {
		driver = "pgx"
		dsn, _, _ = strings.Cut(server, "\n")
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { db.Close() })
	return db
}

// busy keeps the database from storing what comes to these connections, until it is
// freed.
func busy(t *testing.T, db *sql.DB, crashes []*crash) (free func()) {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil) // with SQLite, it is the only one that writes
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range crashes {
		if _, err := tx.Exec("UPDATE connector_connections SET name = name WHERE id = $1", c.id); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// blocked returns how many statements wait for others' locks.
func blocked(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	err := db.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
