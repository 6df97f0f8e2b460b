package datastore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// busy has a function hold the writer until release is called.
func busy(t *testing.T, db *DB) (release func()) {
	t.Helper()
	begun, released := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := db.Write(t.Context(), func(context.Context, *Tx) error {
			close(begun)
			<-released
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-begun
	return func() {
		close(released)
		all.Wait()
	}
}

func queued(db *DB) int { return len(db.store.engine.(*sqlite).group.queue) }

func commits(t *testing.T) (number uint64, writes float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(commitSize)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	histogram := families[0].GetMetric()[0].GetHistogram()
	return histogram.GetSampleCount(), histogram.GetSampleSum()
}

func TestSettingsOfSQLite(t *testing.T) {
	db := run(t, inFile(t)).db
	for pragma, want := range map[string][2]string{ // of the writer, of readers
		"journal_mode": {"wal", "wal"}, "synchronous": {"2", "2"}, "foreign_keys": {"1", "1"},
		"query_only": {"0", "1"}, "busy_timeout": {"10000", "10000"},
		"temp_store": {"2", "0"}, "cache_size": {"-16384", "-2000"}, "wal_autocheckpoint": {"4096", "1000"},
	} {
		var writer, reader string
		if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			return tx.QueryRow(ctx, "PRAGMA "+pragma).Scan(&writer)
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow(t.Context(), "PRAGMA "+pragma).Scan(&reader); err != nil {
			t.Fatal(err)
		}
		if got := [2]string{writer, reader}; got != want {
			t.Errorf("%s: %v, want %v", pragma, got, want)
		}
	}
}

func TestGroupSharesCommits(t *testing.T) {
	db := run(t, inFile(t)).db
	commitsBefore, writesBefore := commits(t)
	release := busy(t, db)
	var all sync.WaitGroup
	for i := range int64(500) {
		all.Go(func() {
			if err := insert(t.Context(), db, i, "x"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return queued(db) == 500 })
	release()
	all.Wait()
	commitsAfter, writesAfter := commits(t)
	if number, writes := commitsAfter-commitsBefore, writesAfter-writesBefore; writes != 501 || number < 3 || number > 100 {
		t.Errorf("%d commits for %v writes", number, writes)
	}
	if n := count(t, db); n != 500 {
		t.Errorf("%d rows", n)
	}
}

func TestGroupContext(t *testing.T) {
	db := run(t, inFile(t)).db
	release := busy(t, db)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := insert(ctx, db, 1, "left"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
	release()
	if n := count(t, db); n != 0 {
		t.Errorf("a function runs after its caller left")
	}

	ctx, cancel = context.WithCancel(t.Context())
	if err := db.Write(ctx, func(inner context.Context, tx *Tx) error {
		cancel()
		if inner.Err() != nil {
			return inner.Err()
		}
		_, err := tx.Exec(ctx, "INSERT INTO test_rows (id, text) VALUES (2, 'begun')")
		return err
	}); err != nil || count(t, db) != 1 {
		t.Errorf("a function that began is not carried out: %v", err)
	}
}

func TestGroupQueueIsBounded(t *testing.T) {
	db := run(t, inFile(t)).db
	release := busy(t, db)
	var all sync.WaitGroup
	for i := range int64(queueLimit) {
		all.Go(func() {
			if err := insert(t.Context(), db, i, "x"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the queue is full", func() bool { return queued(db) == queueLimit })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := insert(ctx, db, queueLimit, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want a deadline", err)
	}
	release()
	all.Wait()
}

// Nobody is told that something was written that a failed commit took along.
func TestGroupCommitFails(t *testing.T) {
	db := run(t, inFile(t)).db
	if err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "CREATE TABLE children (id INTEGER REFERENCES test_rows (id) DEFERRABLE INITIALLY DEFERRED)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	begun, released := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	var failed, succeeded error
	all.Go(func() {
		failed = db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			close(begun)
			<-released
			_, err := tx.Exec(ctx, "INSERT INTO children (id) VALUES (99)") // found out at the commit
			return err
		})
	})
	<-begun
	all.Go(func() { succeeded = insert(t.Context(), db, 1, "x") })
	eventually(t, "the other waits", func() bool { return queued(db) == 1 })
	close(released)
	all.Wait()
	if failed == nil || !strings.Contains(failed.Error(), "committing") {
		t.Errorf("the commit succeeds: %v", failed)
	}
	if (succeeded == nil) != (count(t, db) == 1) {
		t.Errorf("%d rows, but the caller got %v", count(t, db), succeeded)
	}
	if err := insert(t.Context(), db, 2, "x"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What a function has seen of its group's, everybody can read once it has returned:
// who tries again after an ErrStale must not meet what made it stale.
func TestGroupRefusal(t *testing.T) {
	db := run(t, inFile(t)).db
	release := busy(t, db)
	refused := errors.New("there is one already")
	answered := make(chan error, 1)
	var all sync.WaitGroup
	all.Go(func() {
		if err := insert(t.Context(), db, 1, "x"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the first waits", func() bool { return queued(db) == 1 })
	all.Go(func() {
		answered <- db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			var n int
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM test_rows").Scan(&n); err != nil || n == 0 {
				return err
			}
			return refused
		})
	})
	eventually(t, "the second waits", func() bool { return queued(db) == 2 })
	all.Go(func() {
		if err := db.Write(t.Context(), func(context.Context, *Tx) error {
			select {
			case err := <-answered:
				if n := count(t, db); !errors.Is(err, refused) || n != 1 {
					t.Errorf("%v, and then there are %d rows", err, n)
				}
			case <-time.After(100 * time.Millisecond):
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the third waits", func() bool { return queued(db) == 3 })
	release()
	all.Wait()
}

// With a full disk, SQLite rolls back the whole transaction. Nobody in it is
// told otherwise, and what comes later is not written outside of one.
func TestGroupFullDisk(t *testing.T) {
	db := run(t, inFile(t)).db
	var mu sync.Mutex
	var acknowledged, full, takenAlong int
	for round := range int64(5) {
		begun, released := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		write := func(id int64, size int) {
			err := insert(t.Context(), db, id, strings.Repeat("x", size))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				acknowledged++
			case strings.Contains(err.Error(), "another write of the same transaction"):
				takenAlong++
			case strings.Contains(err.Error(), "full"):
				full++
			default:
				t.Error(err)
			}
		}
		all.Go(func() { // what a full disk takes along must begin before
			err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
				var pages int
				if err := tx.QueryRow(ctx, "PRAGMA max_page_count = 30").Scan(&pages); err != nil {
					return err
				}
				close(begun)
				<-released
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-begun
		for i := range int64(64) {
			size := 10
			if i == 40 {
				size = 200_000
			}
			all.Go(func() { write(round*100+i, size) })
		}
		eventually(t, "all wait", func() bool { return queued(db) == 64 })
		time.Sleep(groupTime) // so that all of them are in the next group
		close(released)
		all.Wait()
	}
	if n := count(t, db); n != acknowledged || full == 0 || takenAlong == 0 {
		t.Errorf("%d rows, %d acknowledged, %d refused, %d taken along", n, acknowledged, full, takenAlong)
	}
}
