package anychannel

import (
	"context"
	"errors"

	"github.com/f737063d/caddy-connector/internal/secret"
)

// TicketSource says which instance a ticket belongs to. It is what a module in
// the namespace `http.any_channel.tickets` must be.
type TicketSource interface {
	// Instance returns the ticket's instance, if this agent may see the ticket. The ticket's id has 1 to 19 digits, the agent's 1 to 255
	// visible ASCII characters. The context ends with the request; it has
	// Caddy's replacer.
	//
	// ErrUnknownTicket has the next source asked, and ErrNoAccess none; the
	// agent is told the same. After any other error the request is answered 502,
	// or 504 if it is a timeout, or 503 if it is datastore.ErrNotReady. Errors
	// are logged, so they must hold no secret.
	Instance(ctx context.Context, ticketID, agentID string) (TicketInstance, error)
}

// TicketInstance is the instance that a ticket belongs to.
type TicketInstance struct {
	name        string
	integration string
	metadata    secret.Value // zero for an instance of the config
}

// ConfiguredInstance is the instance of that name in the config.
func ConfiguredInstance(name string) TicketInstance { return TicketInstance{name: name} }

// KeptInstance is an instance that the source keeps itself, with the name of an
// integration in the config, and metadata under the rules of Instance.
func KeptInstance(name, integration, metadata string) TicketInstance {
	return TicketInstance{name, integration, secret.Of(metadata)}
}

// mayKeepInstances reports whether a source may find instances that are not in
// the config. Those of other modules may.
func mayKeepInstances(source TicketSource) bool {
	switch source.(type) {
	case *StaticTickets, *HTTPTickets:
		return false
	}
	return true
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
