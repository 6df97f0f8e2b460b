package subscriptions

// change is what a subscription's owner wants to be different: nil stays as it
// is.
type change struct {
	events  []string
	status  string
	ordered *bool
	terms
}

// parseChange reads the body of a PUT, which replaces the events, or of a PATCH.
func (h *Handler) parseChange(o object, patch bool, catalogue map[string]*EventType) (change, error) {
	var c change
	var err error
	if c.terms, err = h.parseTerms(o); err != nil {
		return c, err
	}
	if !patch || o.get("events", "event") != nil {
		if c.events, err = parseEvents(o, catalogue); err != nil || !patch {
			return c, err
		}
	}
	if given := o.get("status"); given != nil {
		c.status, _ = text(given)
		if c.status != statusActive && c.status != statusPaused {
			return c, errStatus
		}
	}
	if given := o.get("ordered"); given != nil {
		ordered, ok := boolean(given)
		if !ok {
			return c, errOrdered
		}
		c.ordered = &ordered
	}
	if c.events == nil && c.status == "" && c.ordered == nil && c.terms == (terms{}) {
		return c, errNoChange
	}
	return c, nil
}

// apply changes s.
func (c change) apply(s *subscription) {
	if c.events != nil {
		s.events = c.events
	}
	if c.status != "" {
		s.status = c.status
	}
	if c.ordered != nil {
		s.ordered = *c.ordered
	}
	c.terms.apply(s)
}
