//go:build unix

package connections

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// application is the edge with a name for the nodes that are started on it, by which
// the database's server knows them.
func (e *edge) application(name string) *edge {
	other := *e
	dsn, rest, _ := strings.Cut(e.options, "\n")
	other.options = dsn + "&application_name=" + name + "\n" + rest
	return &other
}

// listeners returns the server's processes that would tell a node of changes.
func (n *node) listeners() (pids []int) {
	n.t.Helper()
	_, dsn, _ := strings.Cut(n.options, "database postgres ")
	dsn, _, _ = strings.Cut(dsn, "\n")
	_, name, _ := strings.Cut(dsn, "&application_name=")
	conn, err := pgx.Connect(n.t.Context(), dsn+"-test")
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	soon(n.t, "a process that listens for the node "+name, func() bool {
		rows, err := conn.Query(n.t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = $1 AND (query LIKE 'LISTEN%' OR query = '-- ping')`, name)
		if err == nil {
			pids, err = pgx.CollectRows(rows, pgx.RowTo[int])
		}
		if err != nil {
			n.t.Fatal(err)
		}
		return len(pids) > 0
	})
	return pids
}

// signal does that to the processes that would tell a node of changes.
func (n *node) signal(how syscall.Signal) (undo func()) {
	n.t.Helper()
	pids := n.listeners()
	for _, pid := range pids {
		if err := syscall.Kill(pid, how); err != nil {
			n.t.Fatal(err)
		}
	}
	return func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// ways are those in which a node learns of a change, or doesn't.
var ways = map[string]func(n *node) (undo func()){
	"told":          func(*node) func() { return func() {} },
	"connection":    func(n *node) func() { return n.signal(syscall.SIGTERM) }, // what pg_terminate_backend does
	"silent server": func(n *node) func() { return n.signal(syscall.SIGSTOP) },
}

// watched is a connection that is used at a node, and what came of it last.
type watched struct {
	node *node
	id   string
	now  string
}

// use returns what the API says that it got, or the code of an error.
func (w *watched) use() string {
	w.node.t.Helper()
	got := w.node.call("alice", "GET", w.id, "/x", "")
	if got.StatusCode == http.StatusOK {
		return got.member("got")
	}
	return got.member("code")
}

// becomes has another node change the connection, and the node use it until
// it knows. Nothing else may come of it before, and nothing else afterwards.
func (w *watched) becomes(want string, way func(*node) func(), change func()) {
	t := w.node.t
	t.Helper()
	if got := w.use(); got != w.now {
		t.Fatalf("before: %s, want %s", got, w.now)
	}
	undo := way(w.node)
	defer undo()
	change()
	soon(t, want, func() bool {
		got := w.use()
		if got != w.now && got != want {
			t.Errorf("%s is neither %s nor %s", got, w.now, want)
		}
		return got == want
	})
	for range 10 {
		if got := w.use(); got != want {
			t.Errorf("later: %s, want %s", got, want)
		}
	}
	w.now = want
}

// mirror is an API that says what it got.
func mirror(t *testing.T) *api {
	return newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"account": "acme-42", "got": r.RequestURI + " " + r.Header.Get("Authorization")})
	})
}

// A value that is retrieved and stored at one node, another credential and the
// deletion count at another one, whether that is told of it or not.
func TestChangesAtAnotherNode(t *testing.T) {
	t.Parallel()
	e := onServer(t)
	a := mirror(t)
	site := "api crm {\nbase_url " + a.URL + "/{{account}}\nvariable account {\ndefault unknown\n}\nauth bearer\n}\n"
	one, two := newNode(t, e.application("one"), site), newNode(t, e.application("two"), site)
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			one.t, two.t = t, t
			id := one.connected("alice", "crm", `{"name":"`+name+`","credentials":[{"type":"bearer","token":"first"}]}`)
			w := &watched{one, id, "/unknown/x Bearer first"}
			told := two.call("alice", "GET", id, "/whoami", "")
			told.is(t, http.StatusOK, "")
			w.becomes("/acme-42/x Bearer first", way, func() {
				two.do("alice", "PUT", placeOf("crm", id), `{"id":"`+id+`","name":"`+name+`","variables":[{"name":"account","value":"`+told.member("account")+`"}]}`).is(t, http.StatusOK, "")
			})
			w.becomes("/acme-42/x Bearer second", way, func() {
				two.do("alice", "PUT", placeOf("crm", id)+"/credentials/0", `{"type":"bearer","token":"second"}`).is(t, http.StatusOK, "")
			})
			w.becomes("connection_unknown", way, func() {
				two.do("alice", "DELETE", placeOf("crm", id), "").is(t, http.StatusNoContent, "")
			})
		})
	}
}

// A grant that is no more, as one node finds out, is not used by another one,
// which asks nobody about it.
func TestRevokedAtAnotherNode(t *testing.T) {
	t.Parallel()
	e := onServer(t)
	as, a := newAuthorization(t, oauthtest.Config{}), mirror(t)
	site := strings.Replace(as.block(""), "base_url "+as.url, "base_url "+a.URL, 1)
	one, two := newNode(t, e.application("one"), site), newNode(t, e.application("two"), site)
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			one.t, two.t = t, t
			id := one.connected("alice", "crm", `{"name":"`+name+`","credentials":[`+as.granted(t)+`]}`)
			w := &watched{node: one, id: id}
			if w.now = w.use(); !strings.HasPrefix(w.now, "/x Bearer ") {
				t.Fatal(w.now)
			}
			two.call("alice", "GET", id, "/x", "").is(t, http.StatusOK, "")
			asked := as.Calls()["refresh_token"]
			w.becomes("connection_reauth_required", way, func() {
				as.RevokeAll()
				two.call("alice", "GET", id, "/x", "", forced).is(t, http.StatusFailedDependency, "connection_reauth_required")
			})
			if n := as.Calls()["refresh_token"] - asked; n != 1 {
				t.Errorf("%d calls of the token endpoint", n)
			}
		})
	}
}
