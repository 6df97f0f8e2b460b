package connections

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/vault"
)

const (
	resumeRetry   = time.Second // after a failure of the database, at first
	resumeAtOnce  = 8           // connections
	resumeTimeout = time.Minute
)

// resume is a worker that does what a process was killed in the middle of, this one
// before it was started again, above all: refreshes. Calls would do so, too, but
// they may come when the server does not honour the old refresh token any more.
func (h *Handler) resume(ctx context.Context) {
	before, lasts, ok := h.held(ctx)
	if !ok || len(before) == 0 || !sleep(ctx, lasts) {
		return
	}
	after, _, ok := h.held(ctx)
	if !ok {
		return
	}
	slots := make(chan struct{}, resumeAtOnce)
	var all sync.WaitGroup
	defer all.Wait()
	for _, lease := range after {
		if !slices.Contains(before, lease) {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			h.refreshAgain(ctx, lease.ID)
			<-slots
		})
	}
}

// held returns the leases that were not ended, when the database is there.
func (h *Handler) held(ctx context.Context) (held []vault.Held, lasts time.Duration, ok bool) {
	for pause := resumeRetry; ; pause = min(2*pause, time.Minute) {
		held, lasts, err := h.store.Held(ctx)
		if err == nil {
			return held, lasts, true
		}
		if !sleep(ctx, pause) {
			return nil, 0, false
		}
	}
}

// refreshAgain gets a connection another token: the one that was asked for is lost.
func (h *Handler) refreshAgain(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	_, err := h.refresher.Force(ctx, id)
	switch {
	case errors.Is(err, oauth.ErrNotFound): // it is another handler's
	case err != nil:
		h.logger.Warn("a refresh that was not finished has failed", zap.String("connection", id), zap.Error(err))
	default:
		h.logger.Info("a refresh that was not finished was done again", zap.String("connection", id))
	}
}

// sleep reports whether the context lasts that long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
