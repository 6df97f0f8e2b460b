package datastore

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// readyTimeout bounds asking a database server whether it is there.
const readyTimeout = 2 * time.Second

// adminAPI serves, at Caddy's admin endpoint,
//
//	GET  /connector/ready        whether the database can be used
//	POST /connector/keys/rotate  seals every secret with the first encryption key
type adminAPI struct{}

// rotating is held by the one rotation that runs.
var rotating sync.Mutex

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.connector",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (*adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/connector/ready", Handler: method(http.MethodGet, serveReady)},
		{Pattern: "/connector/keys/rotate", Handler: method(http.MethodPost, serveRotate)},
	}
}

func method(allowed string, next caddy.AdminHandlerFunc) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != allowed {
			w.Header().Set("Allow", allowed)
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed")}
		}
		return next(w, r)
	})
}

// serveReady also says yes where no handler needs a database.
func serveReady(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Ready  bool    `json:"ready"`
		Driver Dialect `json:"driver,omitempty"`
		Reason string  `json:"reason,omitempty"`
	}{Ready: true}
	if db := running.latest(); db != nil {
		answer.Driver = db.Dialect()
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if _, err := db.Now(ctx); err != nil {
			answer.Ready, answer.Reason = false, err.Error()
		}
	}
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(int(RetryAfter.Seconds())))
	}
	return reply(w, status, answer)
}

func serveRotate(w http.ResponseWriter, r *http.Request) error {
	db := running.latest()
	if db == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no handler of the config needs a database")}
	}
	if !rotating.TryLock() {
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: errors.New("the keys are being rotated already")}
	}
	defer rotating.Unlock()
	n, err := db.reencrypt(r.Context())
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, ErrNotReady) {
			status = http.StatusServiceUnavailable
		}
		return caddy.APIError{HTTPStatus: status, Err: err}
	}
	db.store.log().Info("every secret is sealed with the first encryption key", zap.Int("reencrypted", n))
	return reply(w, http.StatusOK, struct {
		Reencrypted int `json:"reencrypted"`
	}{n})
}

func reply(w http.ResponseWriter, status int, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}

// Interface guard
var _ caddy.AdminRouter = (*adminAPI)(nil)
