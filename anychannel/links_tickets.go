package anychannel

import (
	"context"
	"database/sql"
	"errors"

	"github.com/f737063d/caddy-connector/datastore"
)

const ticketColumns = "ticket_id, instance, agents, created_at, updated_at"

// ticketRow links a ticket. Times are microseconds since 1970.
type ticketRow struct {
	id, instance         string
	agents               []string // none: every agent
	createdAt, updatedAt int64
}

func scanTicket(row datastore.Scanner) (*ticketRow, error) {
	t := new(ticketRow)
	var agents sql.NullString
	if err := row.Scan(&t.id, &t.instance, &agents, &t.createdAt, &t.updatedAt); err != nil {
		return nil, err
	}
	var err error
	t.agents, err = decodeAgents(agents)
	return t, err
}

// putTicket links a ticket to an instance, and to no other.
func (l links) putTicket(ctx context.Context, t *ticketRow) (created bool, err error) {
	err = l.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		var name string
		err = tx.QueryRow(ctx, "SELECT name FROM connector_instances WHERE name = $1"+tx.Locking("KEY SHARE"), t.instance).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			return errInstanceMissing
		}
		if err != nil {
			return err
		}
		t.createdAt, t.updatedAt = now, now
		err = tx.QueryRow(ctx, "SELECT created_at FROM connector_ticket_links WHERE ticket_id = $1"+tx.Locking("UPDATE"), t.id).Scan(&t.createdAt)
		if created = errors.Is(err, sql.ErrNoRows); err != nil && !created {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO connector_ticket_links ("+ticketColumns+`) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (ticket_id) DO UPDATE SET instance = excluded.instance, agents = excluded.agents, updated_at = excluded.updated_at`,
			t.id, t.instance, encodeAgents(t.agents), t.createdAt, t.updatedAt)
		return err
	})
	return created, err
}

func (l links) ticket(ctx context.Context, id string) (*ticketRow, error) {
	found, err := scanTicket(l.db.QueryRow(ctx, "SELECT "+ticketColumns+" FROM connector_ticket_links WHERE ticket_id = $1", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errTicketUnknown
	}
	return found, err
}

func (l links) tickets(ctx context.Context, instance string, p page) (found []*ticketRow, more bool, err error) {
	rows, err := l.db.Query(ctx, "SELECT "+ticketColumns+` FROM connector_ticket_links
		WHERE instance = $1 AND ticket_id > $2 ORDER BY ticket_id LIMIT $3`, instance, p.after, p.limit+1)
	return datastore.Page(rows, err, p.limit, scanTicket)
}

func (l links) deleteTicket(ctx context.Context, id string) error {
	return l.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) error {
		result, err := tx.Exec(ctx, "DELETE FROM connector_ticket_links WHERE ticket_id = $1", id)
		return changed(result, err, errTicketUnknown)
	})
}
