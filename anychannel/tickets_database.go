package anychannel

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/directive"
)

func init() {
	caddy.RegisterModule(new(DatabaseTickets))
}

// lookupTimeout bounds the wait for a database server that does not answer.
const lookupTimeout = 5 * time.Second

// DatabaseTickets is a ticket source whose instances and tickets are in the
// database of the app `connector`. They are kept up to date at Caddy's admin
// endpoint, with paths below `/connector/any_channel`, and a change counts for
// the next request on every node that shares the database: nothing is cached.
//
// An instance has the name of an integration of the config, and metadata, which
// is sealed with the app's `encryption_keys`:
//
//   - `PUT /instances/{name}` makes or replaces one, with a JSON object:
//     `integration`; `metadata`, a text of 1 to 5000 characters, which stays as it
//     is where it is left out, unless the instance is new or its integration
//     another; and `active`, true by default. Tickets of an instance that is not
//     active are answered 404. There is no rate limit.
//   - `GET /instances/{name}` shows one without its metadata, which nothing shows.
//   - `DELETE /instances/{name}` deletes one, and the links of its tickets.
//   - `GET /instances` lists them.
//
// Links say which instance a ticket belongs to:
//
//   - `PUT /tickets/{ticket_id}` makes or replaces one, with a JSON object:
//     `instance`, and `agents`, the ids of those who may use the ticket, at most
//     500. Where they are left out or empty, it is every agent.
//   - `GET` and `DELETE /tickets/{ticket_id}` show and delete one.
//   - `GET /tickets?instance={name}` lists those of an instance.
//
// `PUT` answers 201 where it made something, 200 where it replaced it, and both
// what is there now; `DELETE` answers 204. Lists have `limit` (50; at most 100)
// entries in `data`; `next_cursor` is the `cursor` of the next page, or null.
// Errors are JSON with the members `error`, for people, and `code`, for programs.
type DatabaseTickets struct {
	links links
}

// CaddyModule returns the Caddy module information.
func (*DatabaseTickets) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.any_channel.tickets.database",
		New: func() caddy.Module { return new(DatabaseTickets) },
	}
}

// Provision asks for the database, which is opened when the app `connector`
// starts.
func (s *DatabaseTickets) Provision(ctx caddy.Context) error {
	app, err := datastore.Of(ctx)
	if err != nil {
		return err
	}
	s.links.db, err = app.Database()
	return err
}

// Instance implements TicketSource.
func (s *DatabaseTickets) Instance(ctx context.Context, ticketID, agentID string) (TicketInstance, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return s.links.find(ctx, ticketID, agentID)
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	database
func (s *DatabaseTickets) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume source name
	if d.NextArg() {
		return d.ArgErr()
	}
	return directive.NoBlock(d, "tickets database")
}

// Interface guards
var (
	_ caddy.Module          = (*DatabaseTickets)(nil)
	_ caddy.Provisioner     = (*DatabaseTickets)(nil)
	_ TicketSource          = (*DatabaseTickets)(nil)
	_ caddyfile.Unmarshaler = (*DatabaseTickets)(nil)
)
