package vault

import (
	"context"
	"encoding/json"

	"github.com/f737063d/caddy-connector/datastore"
)

// What the owner of a connection is told of it.
const (
	createdEvent   = "connection.created"
	deletedEvent   = "connection.deleted"
	reauthEvent    = "connection.reauth_required"
	recoveredEvent = "connection.recovered" // with a credential, after reauthEvent
)

// eventData is the data of these events.
type eventData struct {
	ConnectionID string `json:"connection_id"`
	ConnectorID  string `json:"connector_id"`
	Name         string `json:"name"`
	Status       Status `json:"status"`
	Reason       string `json:"reason,omitempty"`
}

func announce(ctx context.Context, tx *datastore.Tx, eventType string, c *Connection) error {
	data, _ := json.Marshal(eventData{c.ID, c.API, c.Name, c.Status, c.Reason}) // texts always encode
	return tx.Tell(ctx, datastore.Event{Type: eventType, ResourceType: "connection", ResourceID: c.ID, Owner: c.Owner, Data: data})
}

// announceStatus tells of a status that was another one before. From ReauthRequired to
// Active there may have been others, which have kept its reason.
func announceStatus(ctx context.Context, tx *datastore.Tx, was, c *Connection) error {
	switch {
	case was.Status != ReauthRequired && c.Status == ReauthRequired:
		return announce(ctx, tx, reauthEvent, c)
	case was.Status != Active && was.Reason != "" && c.Status == Active:
		return announce(ctx, tx, recoveredEvent, c)
	}
	return nil
}
