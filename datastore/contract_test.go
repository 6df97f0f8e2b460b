package datastore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestContract is what features may rely on, with both databases.
func TestContract(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *DB){
		"write and read": func(t *testing.T, db *DB) {
			if err := insert(t.Context(), db, 1, "one"); err != nil {
				t.Fatal(err)
			}
			var text string
			if err := db.QueryRow(t.Context(), "SELECT text FROM test_rows WHERE id = $1", 1).Scan(&text); err != nil || text != "one" {
				t.Errorf("%q, %v", text, err)
			}
			if err := db.QueryRow(t.Context(), "SELECT text FROM test_rows WHERE id = $1", 2).Scan(&text); !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("%v, want no rows", err)
			}
			rows, err := db.Query(t.Context(), "SELECT id FROM test_rows WHERE text = $2 AND id = $1", 1, "one")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			if !rows.Next() || rows.Next() || rows.Err() != nil {
				t.Error("not one row", rows.Err())
			}
			if err := db.QueryRow(t.Context(), "SELECT nothing").Scan(&text); err == nil {
				t.Error("a broken query succeeds")
			}
		},
		"reading in a transaction": func(t *testing.T, db *DB) {
			if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				var id int64
				for want := range int64(5) {
					if err := tx.QueryRow(ctx, "INSERT INTO test_rows (id, text) VALUES ($1, 'x') RETURNING id", want).Scan(&id); err != nil || id != want {
						return fmt.Errorf("%d, %w", id, err)
					}
				}
				if err := tx.QueryRow(ctx, "SELECT id FROM test_rows WHERE id = 99").Scan(&id); !errors.Is(err, sql.ErrNoRows) {
					return fmt.Errorf("%w, want no rows", err)
				}
				rows, err := tx.Query(ctx, "SELECT id FROM test_rows ORDER BY id")
				if err != nil {
					return err
				}
				n := 0
				for rows.Next() {
					n++
				}
				if n != 5 {
					return fmt.Errorf("%d rows", n)
				}
				return rows.Err()
			}); err != nil {
				t.Error(err)
			}
		},
		"what a function leaves open": func(t *testing.T, db *DB) {
			if err := insert(t.Context(), db, 1, "x"); err != nil {
				t.Fatal(err)
			}
			var escaped *Tx
			for range 3 {
				if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					escaped = tx
					_, err := tx.Query(ctx, "SELECT id FROM test_rows")
					if db.Dialect() == SQLite { // PostgreSQL's connections do one thing at a time
						tx.QueryRow(ctx, "UPDATE test_rows SET text = 'y' RETURNING id")
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := escaped.Exec(t.Context(), "DELETE FROM test_rows"); !errors.Is(err, sql.ErrTxDone) || count(t, db) != 1 {
				t.Errorf("a transaction outlives its function: %v", err)
			}
		},
		"a write in a write": func(t *testing.T, db *DB) {
			if err := db.Write(t.Context(), func(ctx context.Context, _ *Tx) error { return insert(ctx, db, 1, "x") }); !errors.Is(err, errNested) {
				t.Error(err)
			}
		},
		"a failing function": func(t *testing.T, db *DB) {
			mine := errors.New("mine")
			if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				if _, err := tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES (1, 'x')"); err != nil {
					return err
				}
				return mine
			}); !errors.Is(err, mine) || count(t, db) != 0 {
				t.Errorf("%v, %d rows", err, count(t, db))
			}
		},
		"a failing statement ends the function": func(t *testing.T, db *DB) {
			err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				_, _ = tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES (1, 'x')")
				_, first := tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES (1, 'again')")
				_, second := tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES (2, 'x')")
				if first == nil || second == nil || !errors.Is(tx.QueryRow(ctx, "SELECT 1").Scan(new(int)), first) {
					t.Errorf("%v, %v", first, second)
				}
				return nil // swallowed
			})
			if err == nil || !strings.Contains(err.Error(), "went on after") || count(t, db) != 0 {
				t.Errorf("%v, %d rows", err, count(t, db))
			}
		},
		"isolation in a crowd": func(t *testing.T, db *DB) {
			var all sync.WaitGroup
			for i := range int64(200) {
				all.Go(func() {
					err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
						if _, err := tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES ($1, 'x')", i); err != nil {
							return err
						}
						if i%3 == 0 {
							return fmt.Errorf("number %d", i)
						}
						return nil
					})
					if fails := i%3 == 0; fails != (err != nil) || fails && err.Error() != fmt.Sprintf("number %d", i) {
						t.Errorf("%d: %v", i, err)
					} else if !fails {
						var id int64
						if err := db.QueryRow(t.Context(), "SELECT id FROM test_rows WHERE id = $1", i).Scan(&id); err != nil {
							t.Errorf("%d was acknowledged: %v", i, err)
						}
					}
				})
			}
			all.Wait()
			if n := count(t, db); n != 133 {
				t.Errorf("%d rows, want 133", n)
			}
		},
		"a panic": func(t *testing.T, db *DB) {
			func() {
				defer func() {
					if recover() != "mine" {
						t.Error("the panic does not reach the caller")
					}
				}()
				_ = db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					_, _ = tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES (1, 'x')")
					panic("mine")
				})
			}()
			if err := insert(t.Context(), db, 2, "x"); err != nil || count(t, db) != 1 {
				t.Errorf("%v, %d rows", err, count(t, db))
			}
		},
		"a function that ends its goroutine": func(t *testing.T, db *DB) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					_, _ = tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES (1, 'x')")
					runtime.Goexit()
					return nil
				})
			}()
			<-done
			if err := insert(context.Background(), db, 2, "x"); err != nil || count(t, db) != 1 {
				t.Errorf("%v, %d rows", err, count(t, db))
			}
		},
		"a context that has ended": func(t *testing.T, db *DB) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := insert(ctx, db, 1, "x"); !errors.Is(err, context.Canceled) || count(t, db) != 0 {
				t.Errorf("%v, %d rows", err, count(t, db))
			}
			if _, err := db.Query(ctx, "SELECT 1"); !errors.Is(err, context.Canceled) || db.Ready() != nil {
				t.Errorf("%v, %v", err, db.Ready())
			}
		},
		"the clock": func(t *testing.T, db *DB) {
			var inside int64
			if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) (err error) {
				inside, err = tx.Now(ctx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			outside, err := db.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, now := range []int64{inside, outside} {
				if off := time.Since(time.UnixMicro(now)).Abs(); off > time.Minute {
					t.Errorf("%d is off by %s", now, off)
				}
			}
			if outside < inside {
				t.Error("it runs backwards")
			}
		},
		"reads don't write": func(t *testing.T, db *DB) {
			if db.Dialect() != SQLite {
				t.Skip("all connections of PostgreSQL are alike")
			}
			if _, err := db.Query(t.Context(), "INSERT INTO test_rows (id, text) VALUES (1, 'x')"); err == nil {
				t.Error("a reader writes")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
				test(t, run(t, config, testKeys()).db)
			})
		})
	}
}

// A closed database has what was acknowledged, and its old handles say no.
func TestCloseAndReopen(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		keys := testKeys()
		first := run(t, config, keys)
		old := first.db
		if err := insert(t.Context(), old, 1, "x"); err != nil {
			t.Fatal(err)
		}
		first.end(t)
		if err := insert(t.Context(), old, 2, "x"); !errors.Is(err, ErrNotReady) {
			t.Errorf("a write after the end: %v", err)
		}
		if err := old.QueryRow(t.Context(), "SELECT 1").Scan(new(int)); !errors.Is(err, ErrNotReady) {
			t.Errorf("a read after the end: %v", err)
		}
		if err := old.Ready(); !errors.Is(err, ErrNotReady) {
			t.Errorf("ready after the end: %v", err)
		}
		if n := count(t, run(t, config, keys).db); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

// What is under way when a database is closed ends well or with ErrNotReady.
func TestCloseUnderLoad(t *testing.T) {
	bothDatabases(t, func(t *testing.T, config DatabaseConfig) {
		keys := testKeys()
		f := run(t, config, keys)
		db := f.db
		var all sync.WaitGroup
		var mu sync.Mutex
		acknowledged := 0
		for worker := range int64(8) {
			all.Go(func() {
				for i := int64(0); ; i++ {
					err := insert(context.Background(), db, worker*1_000_000+i, "x")
					if err != nil {
						if !errors.Is(err, ErrNotReady) {
							t.Errorf("write: %v", err)
						}
						return
					}
					mu.Lock()
					acknowledged++
					mu.Unlock()
				}
			})
			all.Go(func() {
				for {
					if err := db.QueryRow(context.Background(), "SELECT count(*) FROM test_rows").Scan(new(int)); err != nil {
						if !errors.Is(err, ErrNotReady) {
							t.Errorf("read: %v", err)
						}
						return
					}
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		f.end(t)
		all.Wait()
		if n := count(t, run(t, config, keys).db); n < acknowledged || acknowledged == 0 {
			t.Errorf("%d rows, %d acknowledged", n, acknowledged)
		}
	})
}
