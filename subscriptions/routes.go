package subscriptions

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/jsonanswer"
	"github.com/f737063d/caddy-connector/internal/routing"
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

// route is a path below the prefix and its operations, by method. A segment in
// braces stands for any one that is not empty.
type route struct {
	path    string
	methods map[string]operation
}

var routes = []route{
	{"/subscriptions", withHead(map[string]operation{
		http.MethodGet:  {"list", (*exchange).list},
		http.MethodPost: {"create", (*exchange).create},
	})},
	{"/subscriptions/{id}", withHead(map[string]operation{
		http.MethodGet:    {"get", (*exchange).get},
		http.MethodPut:    {"update", (*exchange).update},
		http.MethodPatch:  {"update", (*exchange).update},
		http.MethodDelete: {"delete", (*exchange).delete},
	})},
	{"/subscriptions/{id}/pause", map[string]operation{http.MethodPost: {"pause", bare((*exchange).pause)}}},
	{"/subscriptions/{id}/resume", map[string]operation{http.MethodPost: {"resume", bare((*exchange).resume)}}},
	{"/subscriptions/{id}/secret", map[string]operation{http.MethodPost: {"rotate", bare((*exchange).rotate)}}},
	{"/subscriptions/{id}/test", map[string]operation{http.MethodPost: {"test", (*exchange).test}}},
	{"/subscriptions/{id}/deliveries", withHead(map[string]operation{http.MethodGet: {"list_deliveries", (*exchange).listDeliveries}})},
	{"/subscriptions/{id}/replays", withHead(map[string]operation{
		http.MethodGet:  {"list_replays", (*exchange).listReplays},
		http.MethodPost: {"replay", (*exchange).replay},
	})},
	{"/subscriptions/{id}/replays/{replay}", withHead(map[string]operation{
		http.MethodGet:    {"get_replay", (*exchange).getReplay},
		http.MethodDelete: {"cancel_replay", (*exchange).cancelReplay},
	})},
	{"/deliveries/{delivery}", withHead(map[string]operation{http.MethodGet: {"get_delivery", (*exchange).getDelivery}})},
	{"/deliveries/{delivery}/retry", map[string]operation{http.MethodPost: {"retry", bare((*exchange).retry)}}},
	{"/resources/{type}", withHead(map[string]operation{http.MethodGet: {"list_resources", (*exchange).listResources}})},
	{"/event_types", withHead(map[string]operation{http.MethodGet: {"list_types", (*exchange).listTypes}})},
	{"/events/{type}/sample", withHead(map[string]operation{http.MethodGet: {"sample", (*exchange).showSample}})},
	{openapiPath, withHead(map[string]operation{http.MethodGet: {describe, (*exchange).showDocument}})},
}

// withHead has HEAD do what GET does; net/http leaves out the body.
func withHead(methods map[string]operation) map[string]operation {
	methods[http.MethodHead] = methods[http.MethodGet]
	return methods
}

// find returns what an escaped path stands for, and its segments that have a
// name in the route, or nil where it is not one of this handler's.
func find(path, prefix string) (found *route, params map[string]string) {
	rest, below := strings.CutPrefix(path, prefix)
	if !below {
		return nil, nil
	}
	for i := range routes {
		if params, ok := routing.Match(routes[i].path, rest); ok {
			return &routes[i], params
		}
	}
	return nil, nil
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

// exchange is one request and what came of it.
type exchange struct {
	handler *Handler
	request *http.Request
	owner   string
	params  map[string]string // of the path
	id      string            // of the subscription
}

// answer is a success.
type answer struct {
	status   int
	location string
	body     any    // nil for none
	next     string // where the next page is
}

// serve answers the request.
func (ex *exchange) serve(w http.ResponseWriter, to *route) {
	asked, ok := to.methods[ex.request.Method]
	if !ok {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(to.methods)), ", "))
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
	if err := checkUser(ex.owner); err != nil && asked.name != describe {
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
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.next != "" {
		h.Set("Link", "<"+a.next+`>; rel="next"`)
	}
	jsonanswer.Write(w, a.status, a.body)
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
