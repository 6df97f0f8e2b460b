package connections

import (
	"errors"
	"net/http"

	"github.com/f737063d/caddy-connector/internal/routing"
)

// browse answers what a user's browser opens on its way to an API's sign-in page
// and back, or reports that the path is none of that.
func (h *Handler) browse(w http.ResponseWriter, r *http.Request, path string) bool {
	var err error
	var name string
	params, back := routing.Match("/connectors/{connector}/oauth2/callback", path)
	switch {
	case path != "/oauth2/authorize" && !back:
		return false
	case r.Method != http.MethodGet: // HEAD must not use a link up
		w.Header().Set("Allow", http.MethodGet)
		errMethod.Problem.Write(w)
		return true
	case back:
		name = "callback"
		api := h.APIs[params["connector"]]
		if api == nil || api.oauth == nil {
			err = errConnector
			break
		}
		err = h.callback(w, r, api)
	default:
		name = "authorize"
		err = h.authorize(w, r)
	}
	status := http.StatusSeeOther
	if err != nil {
		told := refused(r, h.logger, err)
		status = told.Status
		rejectionsTotal.WithLabelValues(told.Code).Inc()
		w.Header().Set("Proxy-Status", "caddy-connector; error="+told.ProxyError)
		if to, ok := errors.AsType[*returningError](err); ok {
			leave(w, withQuery(to.location, "error="+told.Code))
		} else {
			writePage(w, told.Status, "Not connected", told.Message)
		}
	}
	managedTotal.WithLabelValues(name, statusClass(status)).Inc()
	return true
}

// returningError is one that the app is told of, where it wants the browser back.
type returningError struct {
	location string
	cause    error
}

// Error implements error.
func (e *returningError) Error() string { return e.cause.Error() }

func (e *returningError) Unwrap() error { return e.cause }

func returning(location string, err error) error {
	if err == nil || location == "" {
		return err
	}
	return &returningError{location, err}
}
