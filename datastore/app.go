// Package datastore holds the Caddy app `connector`: what the handlers of this
// module share.
package datastore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/metrics"
	"github.com/f737063d/caddy-connector/internal/stdlog"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is what the handlers of this module share: a database, the way out to
// destinations that a caller or tenant can influence, and their workers. A
// config that does not mention it has one with the defaults.
type App struct {
	// Where the handlers that keep something keep it. By default, an SQLite file
	// in Caddy's data directory. It is opened only if such a handler is there.
	DatabaseConfig DatabaseConfig `json:"database,omitzero"`

	// What seals the secrets in the database: placeholders, such as
	// `{file./run/secrets/keys}` or `{env.KEYS}`, for one or more keys each,
	// separated by white space. A key is 32 random bytes in base64, as `caddy
	// connector generate-key` prints them. The first key seals, all of them open.
	// Default: with SQLite, a key in a file beside the database, which is made
	// once. With PostgreSQL they are required.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	// What may be dialled for callers and tenants. By default, public addresses
	// whose certificates the system trusts.
	Egress Egress `json:"egress,omitzero"`

	// For how long events are kept, with their deliveries and attempts, and what
	// else has ended, such as a subscription that has expired. Deliveries that wait,
	// such as those of a paused subscription, end with it too. It is at least 96h, as deliveries are tried for 72h.
	// Default: 30d.
	Retention caddy.Duration `json:"retention,omitempty"`

	logger    *zap.Logger
	registry  *prometheus.Registry
	settings  settings
	keys      *KeyRing // of the config
	db        *DB      // if a handler asked for it
	transport *egress.Transport
	workers   []func(context.Context)
	stop      context.CancelFunc // of the workers that run
	running   sync.WaitGroup
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "connector",
		New: func() caddy.Module { return new(App) },
	}
}

// Of returns the app of the config that a module is provisioned for.
func Of(ctx caddy.Context) (*App, error) {
	mod, err := ctx.App("connector")
	if err != nil {
		return nil, fmt.Errorf("getting the connector app: %w", err)
	}
	return mod.(*App), nil
}

// Provision sets up the way out. Of the database it only reads the settings.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	a.registry = ctx.GetMetricsRegistry()
	if a.Retention == 0 {
		a.Retention = defaultRetention
	}
	if err := checkRetention(a.Retention); err != nil {
		return err
	}
	config, err := a.Egress.provision(ctx, a.logger)
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	stdlog.Guard()
	a.transport = egress.NewTransport(config)
	if a.settings, err = a.DatabaseConfig.provision(a.logger); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if a.keys, err = provisionKeys(a.EncryptionKeys, a.logger); err != nil {
		return fmt.Errorf("encryption_keys: %w", err)
	}
	return nil
}

// Database returns the database. Handlers that need it call this in Provision;
// nothing is opened before Start, and nothing at all if no handler calls.
func (a *App) Database() (*DB, error) {
	if a.db != nil {
		return a.db, nil
	}
	if a.settings.dialect == PostgreSQL && a.keys == nil {
		return nil, errors.New("a postgres database needs encryption_keys, for the secrets in it: " +
			"`caddy connector generate-key` prints one")
	}
	if err := metrics.Register(a.registry, collectors...); err != nil {
		return nil, err
	}
	shared, _, err := stores.LoadOrNew(a.settings.key(), a.settings.newStore)
	if err != nil {
		return nil, err
	}
	a.db = &DB{store: shared.(*store), poolKey: a.settings.key(), path: a.settings.path, configured: a.keys}
	a.db.useAtOnce()
	return a.db, nil
}

// Transport returns the guarded transport, which all handlers share. It exists
// once the app is provisioned, and works also before Start and after Stop.
func (a *App) Transport() *egress.Transport { return a.transport }

// Work has a worker run from Start until Stop, when its context ends. Handlers
// call it in Provision. It may run while a worker of the config before still
// does.
func (a *App) Work(worker func(context.Context)) { a.workers = append(a.workers, worker) }

// Start implements caddy.App: it opens the database, if it is needed, and
// starts the workers. It does not wait for a database server that is away.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	workers := a.workers
	if a.db != nil {
		worker, err := a.db.start(ctx, a.logger)
		if err != nil {
			cancel()
			return err
		}
		if worker != nil {
			workers = append(slices.Clip(workers), worker)
		}
		running.add(a.db)
	}
	for _, worker := range workers {
		a.running.Go(func() { worker(ctx) })
	}
	return nil
}

// Stop implements caddy.App: it ends the workers and waits for them.
func (a *App) Stop() error {
	if a.stop != nil {
		a.stop()
	}
	a.running.Wait()
	return nil
}

// Cleanup closes idle connections, and the database if no other config uses it.
// Requests that are still under way keep their connections; the database is
// ErrNotReady to them.
func (a *App) Cleanup() error {
	stdlog.Guard()
	if a.transport != nil {
		a.transport.CloseIdleConnections()
	}
	if a.db == nil {
		return nil
	}
	running.remove(a.db)
	key := a.db.poolKey
	a.db = nil
	_, err := stores.Delete(key)
	return err
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Module       = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
