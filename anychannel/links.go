package anychannel

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/f737063d/caddy-connector/datastore"
)

//go:embed migrations
var migrations embed.FS

func init() {
	datastore.Register(datastore.Feature{
		Name: "any_channel", Reencrypt: sealedMetadata.Reencrypt,
		SQLite: datastore.Dir(migrations, "migrations/sqlite"), PostgreSQL: datastore.Dir(migrations, "migrations/postgres"),
	})
}

// States of an instance in the database.
const (
	stateActive   = "active"
	stateInactive = "inactive"
)

// links are the instances and the tickets linked to them, in the database.
type links struct{ db *datastore.DB }

// metadataOf is where the metadata of an instance belongs. Who can write to the
// database, but lacks the keys, cannot have it sent to another integration.
func metadataOf(instance, integration string) []byte {
	return []byte("any_channel/instance/" + instance + "/" + integration + "/metadata") // no name has a slash
}

var sealedMetadata = datastore.SealedTable{Name: "connector_instances", Key: "name", Bound: "integration", AdditionalData: metadataOf}

const findQuery = `SELECT l.agents, i.name, i.integration, i.state, i.sealed
	FROM connector_ticket_links l JOIN connector_instances i ON i.name = l.instance WHERE l.ticket_id = $1`

// find returns the instance of a ticket, if this agent may use it.
func (l links) find(ctx context.Context, ticketID, agentID string) (TicketInstance, error) {
	ring, err := l.db.KeyRing()
	if err != nil {
		return TicketInstance{}, err
	}
	var name, integration, state string
	var agents sql.NullString
	var sealed []byte
	err = l.db.QueryRow(ctx, findQuery, ticketID).Scan(&agents, &name, &integration, &state, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return TicketInstance{}, ErrUnknownTicket
	}
	if err != nil {
		return TicketInstance{}, err
	}
	allowed, err := decodeAgents(agents)
	if err != nil {
		return TicketInstance{}, fmt.Errorf("the agents of ticket %s: %w", ticketID, err)
	}
	if state != stateActive || len(allowed) > 0 && !slices.Contains(allowed, agentID) {
		return TicketInstance{}, ErrNoAccess
	}
	metadata, err := ring.Open(sealed, metadataOf(name, integration))
	if err != nil {
		return TicketInstance{}, fmt.Errorf("the metadata of instance %s: %w", name, err)
	}
	return KeptInstance(name, integration, string(metadata)), nil
}

// encodeAgents returns what stands for every agent where none is named.
func encodeAgents(agents []string) sql.NullString {
	if len(agents) == 0 {
		return sql.NullString{}
	}
	encoded, _ := json.Marshal(agents) // strings always encode
	return sql.NullString{String: string(encoded), Valid: true}
}

// decodeAgents returns at least one, or an error, where the row does not stand
// for every agent.
func decodeAgents(encoded sql.NullString) (agents []string, err error) {
	if !encoded.Valid {
		return nil, nil
	}
	if json.Unmarshal([]byte(encoded.String), &agents) != nil || len(agents) == 0 {
		return nil, errors.New("not an array of ids")
	}
	return agents, nil
}

// page is which rows of a list are asked for: at most limit behind after.
type page struct {
	after string
	limit int
}

// changed has no row be a refusal.
func changed(result sql.Result, err error, none error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return none
	}
	return nil
}
