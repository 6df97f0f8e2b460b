package subscriptions

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

const (
	// cancelBatch is how many deliveries a transaction cancels: nobody else writes
	// meanwhile on SQLite, and a subscription can have a million that wait.
	cancelBatch = 1000

	// cancelShare is which part of the time these transactions may be open.
	cancelShare = 0.2

	cancelRetry = 5 * time.Second // after an error
)

// canceller cancels, little by little, what waits for subscriptions that are gone
// and that one transaction could not. Nothing of it is sent meanwhile. What it
// has not come to is found again by an engine that starts.
type canceller struct {
	db     *datastore.DB
	logger *zap.Logger
	woken  chan struct{} // has room for one

	mu   sync.Mutex
	gone map[string]struct{} // subscriptions
}

func newCanceller(db *datastore.DB, logger *zap.Logger) *canceller {
	return &canceller{db: db, logger: logger, woken: make(chan struct{}, 1), gone: make(map[string]struct{})}
}

// add has the deliveries of a subscription cancelled.
func (c *canceller) add(subscription string) {
	c.mu.Lock()
	c.gone[subscription] = struct{}{}
	c.mu.Unlock()
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// cancelEnded has what waits for a subscription cancelled if that has ended, or
// is not there: what was published at the same time may not have been seen then.
func (s *Store) cancelEnded(ctx context.Context, subscription string) error {
	var status string
	err := s.db.QueryRow(ctx, "SELECT status FROM connector_subscriptions WHERE id = $1", subscription).Scan(&status)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && status == statusEnded:
		s.canceller.add(subscription)
		return nil
	}
	return err
}

// run cancels until the context ends.
func (c *canceller) run(ctx context.Context) {
	for ctx.Err() == nil {
		id, found := c.next()
		if !found {
			select {
			case <-ctx.Done():
			case <-c.woken:
			}
			continue
		}
		if err := c.cancelAll(ctx, id); err != nil && ctx.Err() == nil {
			c.logger.Error("cancelling deliveries failed; trying again", zap.String("subscription", id), zap.Error(err))
			c.add(id)
			rest(ctx, cancelRetry)
		}
	}
}

// next takes one of the subscriptions.
func (c *canceller) next() (id string, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id = range c.gone {
		delete(c.gone, id)
		return id, true
	}
	return "", false
}

func (c *canceller) cancelAll(ctx context.Context, subscription string) error {
	for more := true; more && ctx.Err() == nil; {
		began := time.Now()
		err := c.db.Write(ctx, func(ctx context.Context, tx *datastore.Tx) (err error) {
			more, err = cancelDeliveries(ctx, tx, subscription)
			return err
		})
		if err != nil {
			return err
		}
		rest(ctx, pauseAfter(time.Since(began), cancelShare))
	}
	return ctx.Err()
}

// cancelDeliveries cancels what is still to be sent to a subscription, and reports
// whether there may be more of it, which is for the canceller.
func cancelDeliveries(ctx context.Context, tx *datastore.Tx, subscription string) (more bool, err error) {
	cancelled, err := tx.Exec(ctx, `UPDATE connector_deliveries SET state = $1, node = NULL WHERE state = 0 AND id IN (
		SELECT id FROM connector_deliveries WHERE subscription_id = $2 AND state = 0 ORDER BY id LIMIT $3)`,
		int(delivery.Cancelled), subscription, cancelBatch)
	if err != nil {
		return false, err
	}
	n, err := cancelled.RowsAffected()
	return n == cancelBatch, err
}

// pauseAfter returns how long to pause after work that may take a share of the
// time.
func pauseAfter(took time.Duration, share float64) time.Duration {
	return time.Duration(float64(took) * (1/share - 1))
}

// rest waits, unless the context ends.
func rest(ctx context.Context, pause time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}
