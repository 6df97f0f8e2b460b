package datastore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// A server that is down when the config starts, and goes down later.
func TestServerAway(t *testing.T) {
	server := pgtest.New(t)
	config := DatabaseConfig{Driver: PostgreSQL, DSN: server.Database(t)}
	server.Stop(t)
	f := run(t, config, testKeys())
	db := f.db
	if err := db.Ready(); !errors.Is(err, ErrNotReady) {
		t.Errorf("ready: %v", err)
	}
	if err := insert(t.Context(), db, 1, "x"); !errors.Is(err, ErrNotReady) {
		t.Errorf("written: %v", err)
	}
	server.Restart(t)
	eventually(t, "ready after the server came", func() bool { return db.Ready() == nil })

	var acknowledged, failures, next atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				id := next.Add(1)
				switch err := insert(context.Background(), db, id, "x"); {
				case err == nil:
					acknowledged.Add(1)
				default:
					failures.Add(1)
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 2 {
		before := acknowledged.Load()
		eventually(t, "writes", func() bool { return acknowledged.Load() > before+100 })
		failed := failures.Load()
		server.Stop(t)
		eventually(t, "failures", func() bool { return failures.Load() > failed+10 })
		eventually(t, "not ready", func() bool { return errors.Is(db.Ready(), ErrNotReady) })
		server.Restart(t)
		eventually(t, "ready again", func() bool { return db.Ready() == nil })
	}
	before := acknowledged.Load()
	eventually(t, "writes", func() bool { return acknowledged.Load() > before+100 })
	stop()
	all.Wait()
	if n := int64(count(t, db)); n < acknowledged.Load() {
		t.Errorf("%d rows, %d acknowledged", n, acknowledged.Load())
	}
	if logged := f.logged(); strings.Contains(logged, pgtest.Password) || !strings.Contains(logged, "the database is ready") {
		t.Errorf("logged: %s", logged)
	}
}

// Every form of the password is kept out of errors and logs.
func TestPasswordIsNeverShown(t *testing.T) {
	server := pgtest.New(t)
	const wrong = "wr:ong/pass%wörd"
	good, err := url.Parse(server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	bad := *good
	bad.User = url.UserPassword("postgres", wrong)
	missing := *good
	missing.Path = "/not_there"
	nobody := *good
	nobody.RawQuery = "host=/nowhere/" + url.QueryEscape(pgtest.Password) // in another place of an error
	stranger := *good
	stranger.User = url.UserPassword("stranger", pgtest.Password)
	for name, dsn := range map[string]url.URL{"wrong password": bad, "no such database": missing, "no server": nobody, "no such user": stranger} {
		f := run(t, DatabaseConfig{Driver: PostgreSQL, DSN: dsn.String()}, testKeys())
		shown := fmt.Sprintf("%v %+v %#v %s", f.db.Ready(), f.db.Ready(), insert(t.Context(), f.db, 1, "x"), f.logged())
		_, body := admin(t, "GET", "/connector/ready")
		shown += body
		if !errors.Is(f.db.Ready(), ErrNotReady) || !strings.Contains(shown, "the database cannot be used") {
			t.Errorf("%s: %s", name, shown)
		}
		if level := "error the database"; name != "no server" && !strings.Contains(shown, level) {
			t.Errorf("%s: not logged as an error: %s", name, shown)
		}
		for _, password := range []string{wrong, pgtest.Password} {
			for _, form := range []string{password, url.QueryEscape(password), url.PathEscape(password), dsn.String()} {
				if strings.Contains(shown, form) {
					t.Errorf("%s: the password is shown: %s", name, shown)
				}
			}
		}
		f.end(t)
	}
}

// Transactions that get in each other's way are tried again.
func TestDeadlock(t *testing.T) {
	db := run(t, DatabaseConfig{Driver: PostgreSQL, DSN: pgtest.Start(t)}, testKeys()).db
	for id := range int64(2) {
		if err := insert(t.Context(), db, id, "x"); err != nil {
			t.Fatal(err)
		}
	}
	var calls atomic.Int64
	var all, met sync.WaitGroup
	met.Add(2)
	for first := range int64(2) {
		var once sync.Once
		all.Go(func() {
			if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				calls.Add(1)
				for _, id := range []int64{first, 1 - first} {
					if _, err := tx.Exec(ctx, "UPDATE test_rows SET text = text || 'y' WHERE id = $1", id); err != nil {
						return err
					}
					once.Do(func() {
						met.Done()
						met.Wait()
					})
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var text string
	if err := db.QueryRow(t.Context(), "SELECT min(text) FROM test_rows").Scan(&text); err != nil || text != "xyy" || calls.Load() < 3 {
		t.Errorf("%s after %d calls, %v", text, calls.Load(), err)
	}
}

func TestPostgresConnection(t *testing.T) {
	db := run(t, DatabaseConfig{Driver: PostgreSQL, DSN: pgtest.Start(t) + "&pool_max_conns=2"}, testKeys()).db
	for range 5 { // it is given back, and does not listen any more
		if err := db.Postgres(t.Context(), func(conn *pgx.Conn) error {
			if _, err := conn.Exec(t.Context(), "LISTEN test"); err != nil {
				return err
			}
			if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				_, err := tx.Exec(ctx, "NOTIFY test, 'hello'")
				return err
			}); err != nil {
				return err
			}
			notification, err := conn.WaitForNotification(t.Context())
			if err == nil && notification.Payload != "hello" {
				t.Errorf("%+v", notification)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	mine := errors.New("mine")
	if err := db.Postgres(t.Context(), func(*pgx.Conn) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if err := run(t, inFile(t)).db.Postgres(t.Context(), func(*pgx.Conn) error { return nil }); err == nil {
		t.Error("SQLite has a connection to PostgreSQL")
	}
}
