package delivery

// Stats are how much an engine has to do.
type Stats struct {
	InFlight int // attempts
	Held     int // deliveries in memory, with the room that is kept for more
}

// Stats returns them as of now.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Stats{InFlight: e.inFlight, Held: e.held}
}
