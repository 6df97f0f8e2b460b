package delivery

import "context"

// Try sends a message to a target once, as deliveries are sent, and reports
// whether it was taken. Nothing is stored, and nothing follows from the answer.
func (e *Engine) Try(ctx context.Context, target *Target, m *Message) (attempt Attempt, delivered bool) {
	v := send(ctx, e.Client, target, &Delivery{Message: m})
	return v.attempt, v.ok
}
