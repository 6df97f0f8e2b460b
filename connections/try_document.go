package connections

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/f737063d/caddy-connector/connections/openapi"
	"github.com/f737063d/caddy-connector/connections/target"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

// Bounds of a test of an API against its document.
const (
	maxCalled  = 32  // operations
	maxSkipped = 100 // operations of which it is told that they were not called
)

// How long all the calls of a test may take, and one of them. Tests of this
// package shorten it.
var (
	connectorTimeout = 45 * time.Second
	operationTimeout = 10 * time.Second
)

// Why operations are not called, beside what package openapi says.
const (
	skipMethod  = "method"  // it may change something
	skipLimit   = "limit"   // there are 32 before it
	skipTime    = "time"    // the calls before it took too long
	skipStopped = "stopped" // the one before it failed in a way in which all would
)

// connectorTestView is what came of a test of an API against its document.
type connectorTestView struct {
	OK          bool            `json:"ok"`
	Stage       string          `json:"stage,omitempty"` // that failed before anything was called
	Latency     int64           `json:"latency_ms"`
	Operations  []operationView `json:"operations"`
	Skipped     []skippedView   `json:"skipped"`
	MoreSkipped int             `json:"more_skipped,omitempty"`
}

// operationName says which operation of the document it is.
type operationName struct {
	OperationID string `json:"operation_id,omitempty"`
	Method      string `json:"method"`
	Path        string `json:"path"`
}

// operationView is what came of a call of an operation. It has no value that the
// API has answered.
type operationView struct {
	operationName
	OK          bool                 `json:"ok"`
	Stage       string               `json:"stage,omitempty"`
	Status      int                  `json:"status,omitempty"`
	Latency     int64                `json:"latency_ms"`
	Differences []openapi.Difference `json:"differences"`
	More        bool                 `json:"more_differences,omitempty"`
}

// skippedView is an operation that was not called.
type skippedView struct {
	operationName
	Reason    string `json:"reason"`
	Parameter string `json:"parameter,omitempty"`
}

// testConnector calls operations of an API with a connection of the caller's, and
// says where the answers differ from the API's document.
func (c *call) testConnector() (*answer, error) {
	if c.api.document == nil {
		return nil, errNoDocument
	}
	o, err := c.read("connection_id", "operations")
	if err != nil {
		return nil, err
	}
	id, ok := strictjson.Text(o["connection_id"])
	switch {
	case !ok:
		return nil, errConnectionID
	case !vault.ValidID(id):
		return nil, errUnknown
	}
	c.id = id
	if _, err := c.known(); err != nil {
		return nil, err
	}
	operations, err := o.operations(c.api.document)
	if err != nil {
		return nil, err
	}
	// each holds a whole answer, so there is one at a time for an owner
	if _, running := c.handler.testing.LoadOrStore(c.owner, nil); running {
		return nil, errTesting
	}
	defer c.handler.testing.Delete(c.owner)
	if !c.handler.tests.Begin(c.id, time.Now()) {
		return nil, errTestRate
	}
	ctx, cancel := context.WithTimeout(c.request.Context(), connectorTimeout)
	defer cancel()
	// past the memory: what another node has just changed is what is to be tested
	opened, err := c.handler.store.Load(ctx, c.id)
	if err != nil && !errors.Is(err, vault.ErrUnreadable) {
		return nil, err
	}
	start := time.Now()
	result := c.tryOperations(ctx, opened, operations)
	if err := c.request.Context().Err(); err != nil {
		return nil, err
	}
	result.Latency = time.Since(start).Milliseconds()
	return &answer{status: http.StatusOK, body: result}, nil
}

// tryOperations calls those that can be called, one after the other.
func (c *call) tryOperations(ctx context.Context, opened *vault.Connection, operations iter.Seq[selected]) connectorTestView {
	t := &connectorTest{call: c, found: connectorTestView{Operations: []operationView{}, Skipped: []skippedView{}}}
	if opened == nil {
		t.found.Stage = stageCredentials
		return t.found
	}
	ready, err := c.api.ready(opened)
	if err != nil {
		t.found.Stage = stageCredentials
		return t.found
	}
	t.connection, t.session = opened, session{refresher: c.handler.refresher, id: opened.ID, ready: ready}
	if _, err := t.locate(openapi.Request{}); err != nil {
		t.found.Stage = stageTarget
		return t.found
	}
	for s := range operations {
		t.visit(ctx, s)
	}
	failed := slices.ContainsFunc(t.found.Operations, func(o operationView) bool { return !o.OK })
	t.found.OK = len(t.found.Operations) > 0 && t.ended == "" && !failed
	return t.found
}

// connectorTest is a test that is under way.
type connectorTest struct {
	*call
	connection *vault.Connection
	session    session // of all calls: one new access token is enough for them
	found      connectorTestView
	ended      string // why no more operations are called, or ""
}

func (t *connectorTest) locate(r openapi.Request) (*url.URL, error) {
	return t.api.target.Locate(t.connection.Variables, target.Controls{}, &url.URL{RawQuery: r.Query}, r.Path)
}

// visit calls an operation, or says why it doesn't.
func (t *connectorTest) visit(ctx context.Context, s selected) {
	name := operationName{s.ID, s.Method, s.Path}
	if !s.isSafe() {
		t.skip(name, skipMethod, "")
		return
	}
	r, obstacle := s.Request(s.given, t.api.auth.Fills)
	if obstacle == nil {
		obstacle = withheld(r.Header)
	}
	if obstacle != nil {
		t.skip(name, obstacle.Reason, obstacle.Parameter)
		return
	}
	location, err := t.locate(r)
	switch {
	case err != nil: // the path that the values make of it
		t.skip(name, openapi.NoPath, "")
		return
	case t.ended == "" && len(t.found.Operations) == maxCalled:
		t.skip(name, skipLimit, "")
		return
	case t.ended == "" && !t.wait(ctx):
		t.ended = skipTime
	}
	if t.ended != "" {
		t.skip(name, t.ended, "")
		return
	}
	t.found.Operations = append(t.found.Operations, t.try(ctx, name, r, location))
}

// withheld is for a parameter that no call has: one that is the edge's own.
func withheld(h http.Header) *openapi.Obstacle {
	names := slices.Sorted(maps.Keys(h))
	target.Controls{}.StripRequest(h)
	for _, name := range names {
		if h[name] == nil {
			return &openapi.Obstacle{Reason: openapi.NoValue, Parameter: name}
		}
	}
	return nil
}

func (t *connectorTest) skip(name operationName, reason, parameter string) {
	if len(t.found.Skipped) == maxSkipped {
		t.found.MoreSkipped++
		return
	}
	t.found.Skipped = append(t.found.Skipped, skippedView{name, reason, parameter})
}

// wait reports whether another call may be made in the time that is left, once the
// connection may make one.
func (t *connectorTest) wait(ctx context.Context) bool {
	limiter := t.session.ready.limiter
	return ctx.Err() == nil && (limiter == nil || limiter.Wait(ctx) == nil)
}

// try calls an operation.
func (t *connectorTest) try(ctx context.Context, name operationName, r openapi.Request, location *url.URL) operationView {
	tried := operationView{operationName: name, Differences: []openapi.Difference{}}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := newTestRequest(ctx, name.Method, location)
	if err != nil {
		tried.Stage = stageTarget
		return tried
	}
	maps.Copy(out.Header, r.Header)
	start := time.Now()
	res, stage := t.ask(out, &t.session)
	if stage == "" {
		stage = t.compare(&tried, r.Path, res)
	}
	tried.Latency = time.Since(start).Milliseconds()
	tried.Stage, tried.OK = stage, stage == "" && len(tried.Differences) == 0
	switch stage {
	case stageCredentials, stageRefresh, stageDNS, stageConnect, stageTLS:
		t.ended = skipStopped
	}
	if tried.Status == http.StatusTooManyRequests {
		t.ended = skipStopped
	}
	return tried
}

// compare holds an answer to the document, and returns the stage that failed, or
// "".
func (t *connectorTest) compare(tried *operationView, path string, res *http.Response) (stage string) {
	defer res.Body.Close()
	tried.Status = res.StatusCode
	body, err := io.ReadAll(io.LimitReader(res.Body, openapi.MaxBody+1)) // one byte more is too much
	if err != nil {
		return stageAnswer
	}
	result := t.api.document.Check(openapi.Call{
		Method: tried.Method, Path: path, Query: res.Request.URL.RawQuery, Header: slices.Collect(maps.Keys(res.Request.Header)),
		Status: res.StatusCode, ResponseType: res.Header.Get("Content-Type"), Body: body,
	})
	tried.OperationID, tried.Path = result.OperationID, result.Path
	tried.Differences, tried.More = append(tried.Differences, result.Differences...), result.More
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return stageAuth
	case res.StatusCode == http.StatusForbidden:
		return stageScope
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= http.StatusInternalServerError:
		return stageAnswer
	}
	return ""
}
