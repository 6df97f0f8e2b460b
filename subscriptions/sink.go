package subscriptions

import (
	"context"

	"github.com/oklog/ulid/v2"

	"github.com/f737063d/caddy-connector/datastore"
)

func init() { datastore.RegisterSink(takeEvent) }

// takeEvent publishes an event of another part of the edge in the transaction of
// what it tells of, where a config has subscriptions.
func takeEvent(ctx context.Context, db *datastore.DB, tx *datastore.Tx, told datastore.Event) (settle func(bool), err error) {
	engine := engineOf(db)
	if engine == nil {
		return nil, nil
	}
	p := &publication{event: Event{
		ID: eventPrefix + ulid.Make().String(), Type: told.Type, ResourceType: told.ResourceType, ResourceID: told.ResourceID,
		AccountID: told.Owner, Data: told.Data,
	}}
	found, err := operationalFanOut(ctx, tx, p.event)
	if err != nil {
		return nil, err
	}
	if err := found.match(p); err != nil || len(p.matching) == 0 {
		return nil, err
	}
	err = engine.store.writeBatch(ctx, tx, []*publication{p})
	return func(committed bool) { p.settle(engine.Engine, committed) }, err
}

// engineOf returns the engine for a database, or nil where no config has one.
func engineOf(db *datastore.DB) (found *sharedEngine) {
	engines.Range(func(key, engine any) bool {
		if key == db.Key() {
			found = engine.(*sharedEngine)
		}
		return found == nil
	})
	return found
}
