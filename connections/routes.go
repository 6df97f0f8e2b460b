package connections

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/internal/accesslog"
	"github.com/f737063d/caddy-connector/internal/jsonanswer"
	"github.com/f737063d/caddy-connector/internal/routing"
)

// operation is what can be asked for.
type operation struct {
	name string // for metrics
	run  func(*call) (*answer, error)
}

// deletion is the one operation that also is for connectors which are not there any
// more.
const deletion = "delete"

// route is a path of the API and its operations, by method.
type route struct {
	path    string
	methods map[string]operation
}

// organisation may stand before a path; without it, the caller is meant.
const organisation = "/o/{organisation}"

var routes = []route{
	{"/connectors", read(operation{"list_connectors", (*call).listConnectors})},
	{"/connectors/{connector}", read(operation{"get_connector", (*call).getConnector})},
	{"/connectors/{connector}/test", map[string]operation{
		http.MethodPost: {"test_connector", (*call).testConnector},
	}},
	{"/connectors/{connector}/connections", map[string]operation{
		http.MethodGet:  {"list", (*call).list},
		http.MethodHead: {"list", (*call).list},
		http.MethodPost: {"create", (*call).create},
	}},
	{"/connectors/{connector}/connections/{connection}", map[string]operation{
		http.MethodGet:    {"get", (*call).get},
		http.MethodHead:   {"get", (*call).get},
		http.MethodPut:    {"update", (*call).update},
		http.MethodDelete: {deletion, (*call).delete},
	}},
	{"/connectors/{connector}/connections/{connection}/credentials/{credential}", map[string]operation{
		http.MethodPut: {"update_credential", (*call).updateCredential},
	}},
	{"/connectors/{connector}/connections/{connection}/test", map[string]operation{
		http.MethodPost: {"test", bare((*call).test)},
	}},
	{"/connectors/{connector}/connections/{connection}/confirm", map[string]operation{
		http.MethodPost: {"confirm", (*call).confirm},
	}},
	{"/connectors/{connector}/oauth2/initialise", map[string]operation{
		http.MethodPost: {"initialise", (*call).initialise},
	}},
	{openapiPath, read(operation{describe, (*call).showDocument})},
}

// read has HEAD do what GET does; net/http leaves out the body.
func read(get operation) map[string]operation {
	return map[string]operation{http.MethodGet: get, http.MethodHead: get}
}

// find returns what an escaped path below the API's base stands for, and its
// segments that have a name in the route, or nil where it is not there.
func find(path string) (found *route, params map[string]string) {
	for i := range routes {
		if params, ok := routing.Match(routes[i].path, path); ok {
			return &routes[i], params
		}
		if params, ok := routing.Match(organisation+routes[i].path, path); ok && routes[i].path != openapiPath {
			return &routes[i], params
		}
	}
	return nil, nil
}

// crossOrigin finds requests that a page of another site has a browser make.
var crossOrigin = http.NewCrossOriginProtection()

// bare is a POST without a body: unlike one with JSON, a browser sends that for
// any page, with the user's cookie. A key or a token it does not send by itself.
func bare(run func(*call) (*answer, error)) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		if !ownAuthorization(c.request) && crossOrigin.Check(c.request) != nil {
			return nil, errOrigin
		}
		return run(c)
	}
}

// ownAuthorization reports whether a request has what only its maker can have put
// in, other than the password of `Basic`, which a browser adds.
func ownAuthorization(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "JWT")
}

// call is one request to the API of connections.
type call struct {
	handler *Handler
	request *http.Request
	owner   string
	session bool              // as a principal has it
	params  map[string]string // of the path
	api     *API              // that the path names; nil: it names none, or one that is not there any more
	id      string            // of the connection
}

// answer is a success.
type answer struct {
	status   int
	location string
	body     any // nil for none
}

// manage answers a request to the API.
func (h *Handler) manage(w http.ResponseWriter, r *http.Request, to *route, params map[string]string) {
	asked, ok := to.methods[r.Method]
	if !ok {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(to.methods)), ", "))
		rejectionsTotal.WithLabelValues(errMethod.Code).Inc()
		errMethod.Problem.Write(w)
		return
	}
	c := &call{handler: h, request: r, params: params}
	a, err := c.run(asked)
	if err != nil {
		told := refused(r, h.logger, err)
		managedTotal.WithLabelValues(asked.name, statusClass(told.Status)).Inc()
		rejectionsTotal.WithLabelValues(told.Code).Inc()
		told.write(w)
		return
	}
	managedTotal.WithLabelValues(asked.name, statusClass(a.status)).Inc()
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	jsonanswer.Write(w, a.status, a.body)
}

// run admits a call, and carries it out.
func (c *call) run(asked operation) (*answer, error) {
	if asked.name == describe {
		return asked.run(c)
	}
	who, err := c.handler.identify(c.request)
	if err != nil {
		return nil, err
	}
	c.owner, c.session = who.owner, who.session
	if escaped, named := c.params["organisation"]; named {
		if of, err := url.PathUnescape(escaped); err != nil || of != c.owner {
			return nil, errOrganisation
		}
	}
	if name, named := c.params["connector"]; named {
		if c.api = c.handler.APIs[name]; c.api == nil && asked.name != deletion {
			return nil, errConnector
		}
	}
	if id, named := c.params["connection"]; named {
		if !vault.ValidID(id) {
			return nil, errUnknown
		}
		c.id = id
	}
	c.request.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Map(c.placeholder)
	accesslog.Add(c.handler.server, c.request, c)
	return asked.run(c)
}

// placeholder looks up the placeholders in Handler's documentation.
func (c *call) placeholder(key string) (any, bool) {
	switch key {
	case "http.connections.id":
		return c.id, c.id != ""
	case "http.connections.api":
		if c.api != nil {
			return c.api.name, true
		}
	case "http.connections.owner":
		return c.owner, true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what the access log says
// of the call.
func (c *call) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if c.id != "" {
		enc.AddString("connection", c.id)
	}
	if c.api != nil {
		enc.AddString("api", c.api.name)
	}
	return nil
}

// Interface guard
var _ zapcore.ObjectMarshaler = (*call)(nil)
