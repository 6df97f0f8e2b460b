// Package integration starts a real Caddy for every test that needs one. Caddy
// is a singleton of its process, so these tests live together and none of them
// is parallel.
package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/f737063d/caddy-connector"
	"github.com/f737063d/caddy-connector/datastore/datastoretest"
	"github.com/f737063d/caddy-connector/internal/pgtest"
	"github.com/f737063d/caddy-connector/internal/porttest"
)

// Hashes of the passwords "alice" and "bob", of bcrypt's least cost.
const accounts = `basic_auth {
		alice $2a$04$vrSOjE1Gk7numTvzgO6jruqhNsAS61Z4.m8JYLTd4VjVpj8vGcfGS
		bob $2a$04$N4E.VfjsFVD6k3/2jBCCseSth0eelonx6nAJh3uYxHKwnn9Ym/ifi
	}`

const (
	aliceCredentials = "Basic YWxpY2U6YWxpY2U="
	bobCredentials   = "Basic Ym9iOmJvYg=="
)

// storage is Caddy's storage in these tests. The environment would come too late
// to move it: Caddy looks at it before any test runs.
var storage string

func TestMain(m *testing.M) {
	// nothing of the machine's own Caddy is read or written
	dir, err := os.MkdirTemp("", "connector-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	storage = dir
	status := pgtest.Main(m)
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// server is the Caddy under test.
type server struct {
	t     *testing.T
	admin string // address of the admin API
	log   string // file that holds every log, at level DEBUG
	addr  string // of the edge
}

// start runs Caddy until the test ends. In the sites, EDGE stands for the
// address of the edge, under any host name; in front of them come global options: an admin address,
// every log in one file, and what options adds.
func start(t *testing.T, options, sites string) *server {
	t.Helper()
	s := &server{t: t, admin: freeAddr(t), log: filepath.Join(t.TempDir(), "log"), addr: freeAddr(t)}
	s.load(options, sites)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping caddy: %v", err)
		}
	})
	return s
}

// load replaces the running config.
func (s *server) load(options, sites string) {
	s.t.Helper()
	if err := s.tryLoad(options, sites); err != nil {
		s.t.Fatal(err)
	}
	datastoretest.AwaitRunning(s.t)
}

func (s *server) tryLoad(options, sites string) error {
	s.t.Helper()
	// options may have a filter on it
	logging := fmt.Sprintf("log default {\n\t\toutput file %s\n\t\tlevel DEBUG\n\t}", s.log)
	if strings.Contains(options, "log default") {
		logging = ""
	}
	autoHTTPS := "off"
	if strings.Contains(sites, "tls internal") {
		autoHTTPS = "disable_redirects"
	}
	caddyfile := fmt.Sprintf(`{
	admin %s
	persist_config off
	storage file_system %s
	auto_https %s
	default_bind 127.0.0.1
	grace_period 10s
	%s
	%s
}
%s
`, s.admin, storage, autoHTTPS, logging, options, strings.ReplaceAll(sites, "EDGE", "http://:"+portOf(s.addr)))
	config, err := adapt(caddyfile)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// loadJSON replaces the running config by one that is written in full.
func (s *server) loadJSON(config string) {
	s.t.Helper()
	if err := s.tryLoadJSON(config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) tryLoadJSON(config string) error { return caddy.Load([]byte(config), true) }

// adapt returns the JSON of a Caddyfile.
func adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// logs returns everything that Caddy has logged.
func (s *server) logs() string {
	s.t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// get is do with method GET and no body.
func (s *server) get(path string, header ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", header...)
}

// do sends one request as it is written, over a connection of its own. Without
// an Authorization among the header lines, it is alice's.
func (s *server) do(method, target, body string, header ...string) answer {
	s.t.Helper()
	var request strings.Builder
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, target, s.addr)
	authorized := false
	for _, line := range header {
		authorized = authorized || strings.HasPrefix(line, "Authorization:")
		if line != "Authorization: none" {
			request.WriteString(line + "\r\n")
		}
	}
	if !authorized {
		request.WriteString("Authorization: " + aliceCredentials + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&request, "Content-Length: %d\r\n", len(body))
	}
	request.WriteString("\r\n" + body)
	return s.raw(request.String())
}

// dial connects to the edge, for what no HTTP client does.
func (s *server) dial() *net.TCPConn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	for range 10 {
		if !errors.Is(err, syscall.ECONNRESET) {
			break
		}
		// it waited on the socket of a config that has just been replaced
		conn, err = net.Dial("tcp", s.addr)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// raw writes bytes to the edge and reads one answer. Where a config has just been
// replaced, the old one's server may still take a connection, and net/http closes
// it unanswered: then raw tries again.
func (s *server) raw(request string) answer {
	s.t.Helper()
	for range 3 {
		if got, ok := s.tryRaw(request); ok {
			return got
		}
	}
	s.t.Fatalf("no answer to %.200q", request)
	return answer{}
}

func (s *server) tryRaw(request string) (answer, bool) {
	s.t.Helper()
	conn := s.dial()
	defer conn.Close()
	// the edge may answer and close before it has read everything
	_, _ = io.WriteString(conn, request)
	method, _, _ := strings.Cut(request, " ")
	reader := bufio.NewReader(conn)
	if _, err := reader.Peek(1); err != nil {
		return answer{}, false
	}
	res, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("reading the answer to %.200q: %v", request, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("reading the answer's body: %v", err)
	}
	return answer{res, string(body)}, true
}

// send is one request of alice's to the service sales, as net/http's client sends
// it.
func (s *server) send(method string, body io.Reader) *http.Response {
	s.t.Helper()
	request, err := http.NewRequest(method, "http://"+s.addr+"/connector/sales/x", body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", aliceCredentials)
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

// fromAdmin returns what the admin API answers.
func (s *server) fromAdmin(path string) string {
	s.t.Helper()
	got := (&server{t: s.t, addr: s.admin}).get(path)
	return got.body
}

// wire writes bytes to the edge and returns all bytes that it answers until it
// closes the connection.
func (s *server) wire(request string) string {
	s.t.Helper()
	conn := s.dial()
	defer conn.Close()
	_, _ = io.WriteString(conn, request)
	wire, err := io.ReadAll(conn)
	if err != nil {
		s.t.Fatalf("reading the answer: %v", err)
	}
	return string(wire)
}

type answer struct {
	*http.Response
	body string
}

// isProblem checks that the edge itself gave this answer.
func (a answer) isProblem(t *testing.T, status int, code string) {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, `"code":"`+code+`"`) ||
		a.Header.Get("Content-Type") != "application/problem+json" ||
		!strings.HasPrefix(a.Header.Get("Proxy-Status"), "caddy-connector; error=") {
		t.Errorf("answer %d %v %q, want %d %s", a.StatusCode, a.Header, a.body, status, code)
	}
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func freeAddr(t *testing.T) string {
	t.Helper()
	return porttest.Free(t, porttest.Integration)
}

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	if !soon(condition) {
		t.Fatalf("waited in vain for: %s", what)
	}
}

// soon reports whether a condition comes true while one can wait for it.
func soon(condition func() bool) bool {
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}
