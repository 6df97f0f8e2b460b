package anychannel

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() {
	caddy.RegisterModule(new(StaticTickets))
}

// StaticTickets is a ticket source whose links stand in the config.
type StaticTickets struct {
	// The tickets by number. At least one is required.
	Tickets map[string]*StaticTicket `json:"tickets,omitempty"`
}

// StaticTicket links one ticket.
type StaticTicket struct {
	// The name of the instance that the ticket belongs to.
	Instance string `json:"instance,omitempty"`

	// The ids of the agents who may use the ticket. Default: every agent.
	Agents []string `json:"agents,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*StaticTickets) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.any_channel.tickets.static",
		New: func() caddy.Module { return new(StaticTickets) },
	}
}

// Validate checks the links.
func (s *StaticTickets) Validate() error {
	if len(s.Tickets) == 0 {
		return fmt.Errorf("at least one ticket is required")
	}
	for id, ticket := range s.Tickets {
		if !isTicketID(id) {
			return fmt.Errorf("%q is not a ticket's number", id)
		}
		if ticket == nil || ticket.Instance == "" {
			return fmt.Errorf("ticket %s has no instance", id)
		}
	}
	return nil
}

// Instance implements TicketSource.
func (s *StaticTickets) Instance(_ context.Context, ticketID, agentID string) (TicketInstance, error) {
	ticket := s.Tickets[ticketID]
	switch {
	case ticket == nil:
		return TicketInstance{}, ErrUnknownTicket
	case len(ticket.Agents) > 0 && !slices.Contains(ticket.Agents, agentID):
		return TicketInstance{}, ErrNoAccess
	}
	return ConfiguredInstance(ticket.Instance), nil
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	static {
//	    <ticket_id> <instance> [<agent>...]
//	}
func (s *StaticTickets) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume source name
	if d.NextArg() {
		return d.ArgErr()
	}
	s.Tickets = make(map[string]*StaticTicket)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		id := d.Val()
		if !isTicketID(id) {
			return d.Errf("'%s' is not a ticket's number", id)
		}
		if s.Tickets[id] != nil {
			return d.Errf("duplicate ticket '%s'", id)
		}
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		s.Tickets[id] = &StaticTicket{Instance: args[0], Agents: args[1:]}
	}
	if len(s.Tickets) == 0 {
		return d.Err("tickets static has no ticket")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Module          = (*StaticTickets)(nil)
	_ caddy.Validator       = (*StaticTickets)(nil)
	_ TicketSource          = (*StaticTickets)(nil)
	_ caddyfile.Unmarshaler = (*StaticTickets)(nil)
)
