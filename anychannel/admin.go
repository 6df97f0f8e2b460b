package anychannel

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/internal/jsonanswer"
	"github.com/f737063d/caddy-connector/internal/problem"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminTimeout bounds the wait for a database server that does not answer.
const adminTimeout = 30 * time.Second

// adminAPI serves, at Caddy's admin endpoint, what DatabaseTickets documents.
type adminAPI struct{ logger *zap.Logger }

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.any_channel",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Provision implements caddy.Provisioner.
func (a *adminAPI) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger(a)
	return nil
}

// Routes implements caddy.AdminRouter.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	const below = "/connector/any_channel"
	return []caddy.AdminRoute{
		a.route(below+"/instances", operations{http.MethodGet: listInstances}),
		a.route(below+"/instances/{name}", operations{
			http.MethodGet: getInstance, http.MethodPut: putInstance, http.MethodDelete: deleteInstance,
		}),
		a.route(below+"/tickets", operations{http.MethodGet: listTickets}),
		a.route(below+"/tickets/{ticket_id}", operations{
			http.MethodGet: getTicket, http.MethodPut: putTicket, http.MethodDelete: deleteTicket,
		}),
	}
}

// operations are what can be done at a path, by method.
type operations map[string]func(l links, r *http.Request) (*adminAnswer, error)

// adminAnswer is a success.
type adminAnswer struct {
	status int
	body   any // nil for none
}

// adminError is what is told instead.
type adminError struct{ *problem.Problem }

// Error implements error.
func (e adminError) Error() string { return e.Code }

func (a *adminAPI) route(pattern string, methods operations) caddy.AdminRoute {
	return caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		answer, err := methods.run(w, r)
		if err != nil {
			answer = a.refused(w, r, err)
		}
		answer.write(w)
		return nil
	})}
}

func (o operations) run(w http.ResponseWriter, r *http.Request) (*adminAnswer, error) {
	operation := o[r.Method]
	if operation == nil {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(o)), ", "))
		return nil, errAdminMethod
	}
	db := datastore.Running()
	if db == nil {
		return nil, errNoDatabase
	}
	ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
	defer cancel()
	return operation(links{db}, r.WithContext(ctx))
}

// refused returns what to answer to an error. What only an operator can do
// something about is logged: the errors of the database hold no secrets.
func (a *adminAPI) refused(w http.ResponseWriter, r *http.Request, err error) *adminAnswer {
	told, known := errors.AsType[adminError](err)
	switch {
	case known:
	case errors.Is(err, datastore.ErrNotReady):
		a.logger.Warn("the database cannot be used", zap.Error(err))
		w.Header().Set("Retry-After", strconv.Itoa(int(datastore.RetryAfter.Seconds())))
		told = errAdminNotReady
	case r.Context().Err() != nil:
		told = adminError{problem.ClientGone}
	default:
		a.logger.Error("the database failed", zap.Error(err))
		told = errAdminInternal
	}
	return &adminAnswer{told.Status, struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}{told.Message, told.Code}}
}

// write sends a.
func (a *adminAnswer) write(w http.ResponseWriter) {
	jsonanswer.Write(w, a.status, a.body)
}

// Interface guards
var (
	_ caddy.Provisioner = (*adminAPI)(nil)
	_ caddy.AdminRouter = (*adminAPI)(nil)
	_ error             = adminError{}
)
