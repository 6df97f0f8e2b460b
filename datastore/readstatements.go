package datastore

import (
	"context"
	"database/sql"
	"sync"
)

// readStatements are prepared queries: parsing one costs more than running it.
// They end with the pool of connections that they are for.
type readStatements struct {
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

func (s *readStatements) query(ctx context.Context, db *sql.DB, query string, args ...any) (*sql.Rows, error) {
	s.mu.RLock()
	stmt, full := s.prepared[query], len(s.prepared) >= preparedLimit
	s.mu.RUnlock()
	if stmt == nil && full {
		return db.QueryContext(ctx, query, args...)
	}
	if stmt == nil {
		var err error
		if stmt, err = s.prepare(ctx, db, query); err != nil {
			return nil, err
		}
	}
	return stmt.QueryContext(ctx, args...)
}

func (s *readStatements) prepare(ctx context.Context, db *sql.DB, query string) (*sql.Stmt, error) {
	stmt, err := db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.prepared[query]; other != nil { // somebody was faster
		_ = stmt.Close()
		return other, nil
	}
	if s.prepared == nil {
		s.prepared = make(map[string]*sql.Stmt)
	}
	s.prepared[query] = stmt
	return stmt, nil
}
