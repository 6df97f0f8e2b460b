package subscriptions

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
)

// catalogues are this process's, one for a config, which its app stands for.
// While a config is loaded, it and the one before each have their own; a request
// that outlives its config keeps the catalogue that it began with.
var catalogues = caddy.NewUsagePool()

// catalogue is the types of events that the subscriptions handlers of a config
// declare, for its publish_events handlers. Handlers are provisioned in any
// order, and none serves before all are: what is declared is looked up by each
// request, and is not changed any more by then.
type catalogue struct {
	app      *datastore.App
	declared []map[string]*EventType // by handler
}

// acquireCatalogue returns the catalogue of the config that a handler is
// provisioned for. Each call is undone by one of release.
func acquireCatalogue(ctx caddy.Context) (*catalogue, error) {
	app, err := datastore.Of(ctx)
	if err != nil {
		return nil, err
	}
	shared, _, err := catalogues.LoadOrNew(app, func() (caddy.Destructor, error) { return &catalogue{app: app}, nil })
	if err != nil {
		return nil, err
	}
	return shared.(*catalogue), nil
}

func (c *catalogue) release() error {
	if c == nil { // Provision failed before it had one
		return nil
	}
	_, err := catalogues.Delete(c.app)
	return err
}

// Destruct implements caddy.Destructor.
func (*catalogue) Destruct() error { return nil }

func (c *catalogue) add(types map[string]*EventType) { c.declared = append(c.declared, types) }

// check says what is wrong with an event. Where no handler of this config
// declares types, because other nodes have the subscribers, nothing is known.
// Where several declare its type, its data is right for all of them.
func (c *catalogue) check(event Event) *refusal {
	known := len(c.declared) == 0
	for _, types := range c.declared {
		declared := types[event.Type]
		if declared == nil {
			continue
		}
		known = true
		if wrong := declared.check(event.Data); wrong != nil {
			return wrong
		}
	}
	if !known {
		return errEventTypeUnknown
	}
	return nil
}

// Interface guard
var _ caddy.Destructor = (*catalogue)(nil)
