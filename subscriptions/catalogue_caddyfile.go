package subscriptions

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/internal/directive"
)

func (h *Handler) unmarshalEventTypes(d *caddyfile.Dispenser) error {
	types := d.RemainingArgs()
	if len(types) == 0 {
		return d.ArgErr()
	}
	for _, name := range types {
		if err := h.declare(d, name, new(EventType)); err != nil {
			return err
		}
	}
	return directive.NoBlock(d, "event_types")
}

func (h *Handler) unmarshalEventType(d *caddyfile.Dispenser) error {
	var name string
	if !d.AllArgs(&name) {
		return d.ArgErr()
	}
	declared := new(EventType)
	if err := h.declare(d, name, declared); err != nil {
		return err
	}
	return directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "description":
			return true, directive.Word(d, &declared.Description, nil)
		case "schema":
			return true, directive.Word(d, &declared.Schema, nil)
		case "sample":
			return true, directive.Word(d, &declared.Sample, nil)
		}
		return false, nil
	})
}

func (h *Handler) declare(d *caddyfile.Dispenser, name string, declared *EventType) error {
	if err := checkType(name); err != nil {
		return d.WrapErr(err)
	}
	if h.EventTypes[name] != nil {
		return d.Errf("duplicate type '%s'", name)
	}
	if h.EventTypes == nil {
		h.EventTypes = make(map[string]*EventType)
	}
	h.EventTypes[name] = declared
	return nil
}
