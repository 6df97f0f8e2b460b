// Package datastore holds the Caddy app `connector`: what the handlers of this
// module share.
package datastore

import (
	"context"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/egress"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is what the handlers of this module share: the way out to destinations
// that a caller or tenant can influence, and their workers. A config that does
// not mention it has one with the defaults.
type App struct {
	// What may be dialled for callers and tenants. By default, public addresses
	// whose certificates the system trusts.
	Egress Egress `json:"egress,omitzero"`

	logger    *zap.Logger
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

// Provision sets up the way out.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	config, err := a.Egress.provision(ctx, a.logger)
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	a.transport = egress.NewTransport(config)
	return nil
}

// Transport returns the guarded transport, which all handlers share. It exists
// once the app is provisioned, and works also before Start and after Stop.
func (a *App) Transport() *egress.Transport { return a.transport }

// Work has a worker run from Start until Stop, when its context ends. Handlers
// call it in Provision. It may run while a worker of the config before still
// does.
func (a *App) Work(worker func(context.Context)) { a.workers = append(a.workers, worker) }

// Start implements caddy.App: it starts the workers.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	for _, worker := range a.workers {
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

// Cleanup closes idle connections. Requests that are still under way keep
// theirs.
func (a *App) Cleanup() error {
	if a.transport != nil {
		a.transport.CloseIdleConnections()
	}
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Module       = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
