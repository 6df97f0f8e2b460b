package subscriptions

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/pace"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

//go:embed migrations
var migrations embed.FS

func init() {
	datastore.Register(datastore.Feature{
		Name: "subscriptions", Reencrypt: sealedSecrets.Reencrypt,
		SQLite: datastore.Dir(migrations, "migrations/sqlite"), PostgreSQL: datastore.Dir(migrations, "migrations/postgres"),
	})
}

// Store keeps subscriptions, and events for the engine that sends them.
type Store struct {
	db       *datastore.DB
	engine   *delivery.Engine
	notifier *notifier
	replayer *replayer
	tests    *pace.Pace
	owners   *ownerPace
	turns    *turns // of handshakes
	batcher  *batcher

	canceller *canceller
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
	shared := engine.store
	return &Store{
		db: db, engine: engine.Engine, notifier: shared.notifier, replayer: engine.replayer, tests: engine.tests,
		owners: &engine.owners, turns: &engine.turns, batcher: shared.batcher, canceller: shared.canceller,
	}, nil
}

// changed has the engine, and those of other nodes, look at a subscription anew.
func (s *Store) changed(id string) {
	s.engine.Changed(id)
	s.replayer.wake()
	s.notifier.tell(noticeChanged, id)
}

// look has deliveries sent that were added to those of a subscription.
func (s *Store) look(id string) {
	s.engine.Look(id)
	s.notifier.tell(noticeWaiting, id)
}

func (s *Store) close() error { return releaseEngine(s.db) }

const columns = `id, owner, target_url, resource_type, resource_id, events, status, ordered, flat, filter, signing, rate_limit, expires_at, created_at, updated_at`

// scan reads a row that has columns, and others behind them.
func scan(row datastore.Scanner, more ...any) (*subscription, error) {
	s := new(subscription)
	var events string
	var filter, signing sql.NullString
	var rateLimit, expiresAt sql.NullInt64
	err := row.Scan(append([]any{
		&s.id, &s.owner, &s.targetURL, &s.resourceType, &s.resourceID, &events, &s.status, &s.ordered,
		&s.flat, &filter, &signing, &rateLimit, &expiresAt, &s.createdAt, &s.updatedAt,
	}, more...)...)
	if err != nil {
		return nil, err
	}
	s.filter, s.rateLimit, s.expiresAt = filter.String, int(rateLimit.Int64), expiresAt.Int64
	if s.signing, err = decodeSigning(signing.String); err != nil {
		return nil, err
	}
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
	return datastore.Page(rows, err, limit, func(row datastore.Scanner) (*subscription, error) { return scan(row) })
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

// orNull has what is empty or zero be NULL.
func orNull[T comparable](value T) any {
	if value == *new(T) {
		return nil
	}
	return value
}
