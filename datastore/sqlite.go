package datastore

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo
)

const (
	// walLimit is what is left of the write-ahead log after a checkpoint.
	walLimit = 64 << 20

	// checkpointAfter is how long the log gets, in pages of 4 KiB, before it is
	// written into the database: pages that change often are written there once
	// for many commits.
	checkpointAfter = 4096

	writerCache = 16 << 10 // KiB of pages; what a batch changes all over the indexes
)

// sqlite is a database in a file: one connection writes, others read.
type sqlite struct {
	path    string
	writer  *sql.DB
	readers *sql.DB
	queries readStatements
	group   *group
}

func (s *sqlite) dialect() Dialect { return SQLite }

// open makes the file, if it is not there, and brings it up to date.
func (s *sqlite) open(ctx context.Context) error {
	if err := s.openFile(ctx); err != nil {
		s.closePools()
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	s.group = newGroup(s.writer)
	return nil
}

func (s *sqlite) openFile(ctx context.Context) error {
	if err := createFile(s.path); err != nil {
		return err
	}
	var err error
	s.writer, err = sql.Open("sqlite", sqliteDSN(s.path, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		fmt.Sprintf("journal_size_limit(%d)", walLimit), fmt.Sprintf("wal_autocheckpoint(%d)", checkpointAfter),
		fmt.Sprintf("cache_size(-%d)", writerCache)))
	if err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(2) // a lost connection may still be there when its successor comes
	s.readers, err = sql.Open("sqlite", sqliteDSN(s.path, "foreign_keys(1)", "query_only(1)"))
	if err != nil {
		return err
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	s.readers.SetMaxOpenConns(readers)
	s.readers.SetMaxIdleConns(readers)

	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its file system does not allow a write-ahead log (journal mode %s); keep it on a local disk", mode)
	}
	return migrate(ctx, conn, SQLite, features)
}

// createFile makes an empty file that only its owner can read; SQLite gives its
// other files the same mode.
func createFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // where directories cannot be synced
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// sqliteDSN escapes the path: a "?" in it is no query. The file is not made
// again if somebody removes it meanwhile.
func sqliteDSN(path string, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	query := url.Values{"mode": {"rw"}, "_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

func (s *sqlite) reader() *sql.DB { return s.readers }

func (s *sqlite) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.queries.query(ctx, s.readers, query, args...)
}

func (s *sqlite) write(ctx context.Context, f func(context.Context, *Tx) error) error {
	return s.group.write(ctx, f)
}

// away implements engine: a file does not go away.
func (*sqlite) away(error) bool { return false }

func (*sqlite) scrub(err error) error { return err }

// close carries out what waits to be written, if that does not take too long.
func (s *sqlite) close(patience time.Duration) {
	if s.group == nil {
		return
	}
	s.group.close()
	select {
	case <-s.group.done:
	case <-time.After(patience):
	}
	s.closePools()
}

func (s *sqlite) closePools() {
	// the readers first: who closes last writes the log into the database
	for _, db := range []*sql.DB{s.readers, s.writer} {
		if db != nil {
			_ = db.Close()
		}
	}
}
