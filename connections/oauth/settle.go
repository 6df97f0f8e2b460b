package oauth

import "context"

// Settle waits for the refreshes that run, so that no token is lost that a server
// has sent, or until the context ends. Others may begin meanwhile, for requests that
// are still under way.
func (r *Refresher) Settle(ctx context.Context) {
	r.mu.Lock()
	running := make([]*flight, 0, len(r.flights))
	for _, f := range r.flights {
		running = append(running, f)
	}
	r.mu.Unlock()
	for _, f := range running {
		select {
		case <-f.done:
		case <-ctx.Done():
			return
		}
	}
}
