package subscriptions

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// How many subscriptions a page has.
const (
	defaultPage = 50
	maxPage     = 100
)

// operation is what can be asked for.
type operation struct {
	name string // for metrics
	run  func(*exchange) (*answer, error)
}

// The operations of a path, by method.
var (
	onAll = withHead(map[string]operation{
		http.MethodGet:  {"list", (*exchange).list},
		http.MethodPost: {"create", (*exchange).create},
	})
	onOne = withHead(map[string]operation{
		http.MethodGet:    {"get", (*exchange).get},
		http.MethodPut:    {"update", (*exchange).update},
		http.MethodPatch:  {"update", (*exchange).update},
		http.MethodDelete: {"delete", (*exchange).delete},
	})
	actions = map[string]map[string]operation{
		"pause":  {http.MethodPost: {"pause", bare((*exchange).pause)}},
		"resume": {http.MethodPost: {"resume", bare((*exchange).resume)}},
		"secret": {http.MethodPost: {"rotate", bare((*exchange).rotate)}},
	}
)

// withHead has HEAD do what GET does; net/http leaves out the body.
func withHead(methods map[string]operation) map[string]operation {
	methods[http.MethodHead] = methods[http.MethodGet]
	return methods
}

// crossOrigin finds requests that a page of another site has a browser make.
var crossOrigin = http.NewCrossOriginProtection()

// bare is a POST without a body: unlike one with JSON, a browser sends that for
// any page, with the user's cookie.
func bare(run func(*exchange) (*answer, error)) func(*exchange) (*answer, error) {
	return func(ex *exchange) (*answer, error) {
		if crossOrigin.Check(ex.request) != nil {
			return nil, errOrigin
		}
		return run(ex)
	}
}

// route returns what an escaped path stands for, or nil where it is not one of
// this handler's.
func route(path, base string) (id string, methods map[string]operation) {
	if path == base {
		return "", onAll
	}
	id, rest, below := rawpath.Cut(path, base)
	switch {
	case !below || id == "":
		return "", nil
	case rest == "":
		return id, onOne
	}
	return id, actions[rest[1:]]
}

// exchange is one request and what came of it.
type exchange struct {
	handler *Handler
	request *http.Request
	owner   string
	id      string
}

// answer is a success.
type answer struct {
	status   int
	location string
	body     any // nil for none
}

// serve answers the request.
func (ex *exchange) serve(w http.ResponseWriter, methods map[string]operation) {
	asked, ok := methods[ex.request.Method]
	if !ok {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
		rejectionsTotal.WithLabelValues(errMethod.Code).Inc()
		errMethod.write(w)
		return
	}
	a, err := ex.run(asked)
	if err == nil {
		requestsTotal.WithLabelValues(asked.name, statusClass(a.status)).Inc()
		a.write(w)
		return
	}
	told := refused(ex.request, ex.handler.logger, err)
	requestsTotal.WithLabelValues(asked.name, statusClass(told.Status)).Inc()
	rejectionsTotal.WithLabelValues(told.Code).Inc()
	told.write(w)
}

func (ex *exchange) run(asked operation) (*answer, error) {
	if err := checkUser(ex.owner); err != nil {
		return nil, err
	}
	if ex.id != "" && !validID(ex.id) {
		ex.id = "" // not for logs
		return nil, errUnknown
	}
	return asked.run(ex)
}

func checkUser(id string) error {
	switch {
	case id == "":
		return errNoUser
	case !caller.ValidID(id):
		return errUser
	}
	return nil
}

// write sends a.
func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(a.body) // what is in answers always encodes
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	_, _ = w.Write(body.Bytes()) // the client is gone where this fails
}

// placeholder looks up the placeholder in Handler's documentation.
func (ex *exchange) placeholder(key string) (any, bool) {
	if key == "http.subscriptions.id" {
		return ex.id, ex.id != ""
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what the access log says
// of the exchange.
func (ex *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if ex.id != "" {
		enc.AddString("subscription", ex.id)
	}
	return nil
}

// Interface guard
var _ zapcore.ObjectMarshaler = (*exchange)(nil)
