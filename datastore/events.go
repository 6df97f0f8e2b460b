package datastore

import (
	"context"
	"encoding/json"
)

// Event is something that the edge itself has to tell the owner of what it keeps.
type Event struct {
	Type                     string // such as `connection.created`
	ResourceType, ResourceID string // what it is about
	Owner                    string
	Data                     json.RawMessage // an object
}

// Sink takes events in the transactions of the changes that they tell of, so that
// both are kept or neither. What it returns is called, if it is not nil, when that
// is decided, and after an error, too.
type Sink func(ctx context.Context, db *DB, tx *Tx, event Event) (settle func(committed bool), err error)

var sink Sink

// RegisterSink has a package take all events. It calls it in its init.
func RegisterSink(s Sink) {
	if sink != nil {
		panic("datastore: there is a sink already")
	}
	sink = s
}

// Tell has an event be published if the transaction is committed. Where no package
// takes events, nobody hears of it.
func (tx *Tx) Tell(ctx context.Context, event Event) error {
	if sink == nil {
		return nil
	}
	settle, err := sink(ctx, tx.db, tx, event)
	if settle != nil {
		tx.told.add(settle)
	}
	return err
}

// settlements are what is to be called when a transaction is over.
type settlements []func(committed bool)

func (s *settlements) add(settle func(committed bool)) { *s = append(*s, settle) }

func (s *settlements) settle(committed bool) {
	for _, each := range *s {
		each(committed)
	}
	*s = nil
}
