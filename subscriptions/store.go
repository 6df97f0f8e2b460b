package subscriptions

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

//go:embed migrations
var migrations embed.FS

func init() {
	datastore.Register(datastore.Feature{
		Name: "subscriptions", SQLite: migrationsFor("sqlite"), PostgreSQL: migrationsFor("postgres"), Reencrypt: reencrypt,
	})
}

func migrationsFor(dialect string) fs.FS {
	found, err := fs.Sub(migrations, "migrations/"+dialect)
	if err != nil {
		panic(err)
	}
	return found
}

// Store keeps subscriptions, and events for the engine that sends them.
type Store struct {
	db      *datastore.DB
	engine  *delivery.Engine
	batcher batcher
}

// openStore returns the store that a handler uses until it calls close.
func openStore(ctx caddy.Context, logger *zap.Logger) (*Store, error) {
	app, err := datastore.Of(ctx)
	if err != nil {
		return nil, err
	}
	db, err := app.Database()
	if err != nil {
		return nil, err
	}
	engine, err := acquireEngine(app, db, logger)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, engine: engine}, nil
}

func (s *Store) close() error { return releaseEngine(s.db) }

const columns = `id, owner, target_url, resource_type, resource_id, events, status, ordered, expires_at, created_at, updated_at`

// scan reads a row that has columns, and others behind them.
func scan(row interface{ Scan(...any) error }, more ...any) (*subscription, error) {
	s := new(subscription)
	var events string
	var expiresAt sql.NullInt64
	err := row.Scan(append([]any{
		&s.id, &s.owner, &s.targetURL, &s.resourceType, &s.resourceID, &events, &s.status, &s.ordered, &expiresAt, &s.createdAt, &s.updatedAt,
	}, more...)...)
	if err != nil {
		return nil, err
	}
	s.expiresAt = expiresAt.Int64
	return s, json.Unmarshal([]byte(events), &s.events)
}

// get returns a subscription of an owner's.
func (s *Store) get(ctx context.Context, owner, id string) (*subscription, error) {
	return known(scan(s.db.QueryRow(ctx, "SELECT "+columns+" FROM connector_subscriptions WHERE id = $1 AND owner = $2", id, owner)))
}

// known has a row that is not there, or not its owner's, be a refusal.
func known(found *subscription, err error) (*subscription, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknown
	}
	return found, err
}

// list returns an owner's subscriptions behind the one with the id after, and
// whether there are more.
func (s *Store) list(ctx context.Context, owner, after string, limit int) (page []*subscription, more bool, err error) {
	rows, err := s.db.Query(ctx, "SELECT "+columns+` FROM connector_subscriptions
		WHERE owner = $1 AND id > $2 ORDER BY id LIMIT $3`, owner, after, limit+1)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		found, err := scan(rows)
		if err != nil {
			return nil, false, err
		}
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, found)
	}
	return page, false, rows.Err()
}

func encodeEvents(events []string) string {
	encoded, _ := json.Marshal(events) // strings always encode
	return string(encoded)
}

func number(flag bool) int64 {
	if flag {
		return 1
	}
	return 0
}

func orNull(at int64) any {
	if at == 0 {
		return nil
	}
	return at
}
