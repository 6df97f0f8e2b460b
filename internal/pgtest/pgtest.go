// Package pgtest starts real PostgreSQL servers for tests and benchmarks.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Password is that of the servers' superuser, postgres.
const Password = "pass:wörd/of%postgres"

var (
	shared     *Server // of all tests of a process
	sharedErr  error
	sharedOnce sync.Once
	databases  atomic.Int64
)

// Main runs the tests of a package and then stops the server that they share.
// TestMain calls os.Exit with what it returns.
func Main(m *testing.M) int {
	defer func() {
		if shared != nil {
			shared.Close()
		}
	}()
	return m.Run()
}

// Start returns the DSN of a new database on the server that all tests of the
// process share, which does not care for durability. Without PostgreSQL on the
// machine it skips the test; on CI (CI is set) the test fails.
func Start(t testing.TB) (dsn string) {
	t.Helper()
	sharedOnce.Do(func() { shared, sharedErr = Open("-c", "fsync=off", "-c", "full_page_writes=off") })
	if sharedErr != nil {
		unavailable(t, sharedErr)
	}
	return shared.Database(t)
}

// New starts a durable server for one test, to stop and start it.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := Open()
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(s.Close)
	return s
}

// ErrNotInstalled is what Open returns where there is no PostgreSQL.
var ErrNotInstalled = errors.New("PostgreSQL is not installed: there is no initdb and postgres in PATH or /usr/lib/postgresql/*/bin")

func unavailable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "" && errors.Is(err, ErrNotInstalled) {
		t.Skip(err)
	}
	t.Fatal(err)
}

// Server is a PostgreSQL server, on a socket in a directory of its own.
type Server struct {
	dir     string
	bin     string
	options []string
	process *supervised
}

// Open starts a server, which is durable unless the options say otherwise. It
// ends with Close, or with this process.
func Open(options ...string) (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin, options: options}
	if err := s.initialize(); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.start(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func find() (bin string, err error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if inPath, err := exec.LookPath("initdb"); err == nil {
		if resolved, err := filepath.EvalSymlinks(inPath); err == nil {
			candidates = append(candidates, filepath.Dir(resolved))
		}
	}
	for i := len(candidates) - 1; i >= 0; i-- { // the newest last
		_, noInit := os.Stat(filepath.Join(candidates[i], "initdb"))
		_, noServer := os.Stat(filepath.Join(candidates[i], "postgres"))
		if noInit == nil && noServer == nil {
			return candidates[i], nil
		}
	}
	return "", ErrNotInstalled
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) initialize() error {
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(Password), 0o600); err != nil {
		return err
	}
	if err := giveAway(s.dir, password); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "postgres", "--pwfile", password,
		"-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync")
	cmd.Dir = s.dir
	unprivileged(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// start starts the server and waits until it answers.
func (s *Server) start() error {
	args := append([]string{
		"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "deadlock_timeout=50ms",
	}, s.options...)
	var err error
	if s.process, err = supervise(s.dir, filepath.Join(s.bin, "postgres"), args...); err != nil {
		return err
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := s.ping()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL does not start: %w\n%s", err, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// DSN returns that of a database, whether it is there or not.
func (s *Server) DSN(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", Password), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}}.Encode(),
	}).String()
}

// Database makes a database and returns its DSN.
func (s *Server) Database(t testing.TB) (dsn string) {
	t.Helper()
	dsn, err := s.NewDatabase()
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// NewDatabase is Database outside of tests.
func (s *Server) NewDatabase() (dsn string, err error) {
	name := fmt.Sprintf("test_%d", databases.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return s.DSN(name), nil
}

// Stop ends the server at once, as a crash does: its clients lose their
// connections, and it recovers when it starts again.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.process.stop(); err != nil {
		t.Fatal(err)
	}
}

// Restart starts a server that was stopped.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Close stops the server and removes what it has stored.
func (s *Server) Close() {
	if s.process != nil {
		_ = s.process.stop()
	}
	_ = os.RemoveAll(s.dir)
}
