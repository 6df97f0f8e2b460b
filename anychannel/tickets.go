package anychannel

import (
	"context"
	"errors"
)

// TicketSource says which instance a ticket belongs to. It is what a module in
// the namespace `http.any_channel.tickets` must be.
type TicketSource interface {
	// Instance returns the name of the ticket's instance, if this agent may see
	// the ticket. The ticket's id has 1 to 19 digits, the agent's 1 to 255
	// visible ASCII characters. The context ends with the request; it has
	// Caddy's replacer.
	//
	// ErrUnknownTicket has the next source asked, and ErrNoAccess none; the
	// agent is told the same. After any other error the request is answered 502,
	// or 504 if it is a timeout. Errors are logged, so they must hold no secret.
	Instance(ctx context.Context, ticketID, agentID string) (string, error)
}

// What a TicketSource returns for a ticket that this agent cannot use.
var (
	ErrUnknownTicket = errors.New("the ticket is unknown")
	ErrNoAccess      = errors.New("the agent has no access to the ticket")
)

// maxTicketID is the longest ticket id, in digits: as long as a 64-bit integer.
const maxTicketID = 19

// isTicketID reports whether id is a ticket's number in its only spelling.
func isTicketID(id string) bool {
	if id == "" || len(id) > maxTicketID || id[0] == '0' {
		return false
	}
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return false
		}
	}
	return true
}
