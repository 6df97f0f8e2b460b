package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// locked is a store without the key.
type locked struct {
	Store
	isOpen atomic.Bool
	asked  atomic.Int64
}

func (l *locked) Target(ctx context.Context, id string) (*Target, error) {
	if l.isOpen.Load() {
		return l.Store.Target(ctx, id)
	}
	l.asked.Add(1)
	return nil, fmt.Errorf("%w: of %s", ErrUnreadable, id)
}

// What no key opens is looked at now and then, and logged less often; with the
// key, it is sent.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.InfoLevel)
		w := newWorld(t, Config{Logger: zap.New(core)})
		store := &locked{Store: w.store}
		w.Engine.Store = store
		const subscriptions = 50
		for i := range subscriptions {
			id := fmt.Sprint("sub", i)
			w.subscribe(id, Target{Ordered: i%2 == 0}, nil)
			w.backlog(id, 10, 1)
		}
		w.start()
		defer w.stop(context.Background())
		time.Sleep(time.Minute)
		for i := range subscriptions {
			w.publish(fmt.Sprint("sub", i))
		}
		time.Sleep(time.Hour)
		if n := store.asked.Load(); n < subscriptions*12 || n > subscriptions*14 {
			t.Errorf("asked %d times", n)
		}
		if n := logged.Len(); n < unreadableLogs || n > unreadableLogs+7 {
			t.Errorf("%d logs", n)
		}
		store.isOpen.Store(true)
		w.ended(2 * unreadableRetry)
	})
}
