package connections

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/target"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

// testPace is how long after a test of a connection the next may be made.
const testPace = time.Second

// testTimeout bounds the call of a test. Tests of this package shorten it.
var testTimeout = 20 * time.Second

// Stages are how far a test came.
const (
	stageCredentials = "credentials" // the connection has none that can be used
	stageTarget      = "target"      // its variables give no URL
	stageRefresh     = "refresh"     // the access token could not be refreshed
	stageDNS         = "dns"
	stageConnect     = "connect" // or the address is one that egress refuses
	stageTLS         = "tls"
	stageAuth        = "auth"   // the API does not know the credentials: 401
	stageScope       = "scope"  // it does, but they do not suffice: 403
	stageAnswer      = "answer" // another answer than 2xx, or none
)

// testView is what came of a test.
type testView struct {
	OK            bool     `json:"ok"`
	Stage         string   `json:"stage,omitempty"`  // that failed
	Status        int      `json:"status,omitempty"` // of the API's answer
	Latency       int64    `json:"latency_ms"`
	ScopesMissing []string `json:"scopes_missing,omitempty"`

	token int64 // the version that the API was asked with, or 0
}

// test makes the call that tells whether a connection works, and keeps what it
// finds.
func (c *call) test() (*answer, error) {
	tested, err := c.known()
	if err != nil {
		return nil, err
	}
	if !c.handler.tests.Begin(c.id, time.Now()) {
		return nil, errTestRate
	}
	ctx, cancel := context.WithTimeout(c.request.Context(), testTimeout)
	defer cancel()
	// past the memory: what another node has just changed is what is to be tested
	opened, err := c.handler.store.Load(ctx, c.id)
	switch {
	case err == nil:
		tested = opened
	case !errors.Is(err, vault.ErrUnreadable):
		return nil, err
	}
	start := time.Now()
	result := c.try(ctx, opened)
	result.Latency = time.Since(start).Milliseconds()
	found := []string{}
	if !result.OK {
		found = append(found, result.Stage)
	}
	if err := c.keepErrors(tested, result.token, found); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: result}, nil
}

// keepErrors keeps what a test has found, unless that is not what there is now. A refresh
// of the token for the test itself, and what came of it, is no such change.
func (c *call) keepErrors(tested *vault.Connection, token int64, found []string) error {
	now := tested
	for range maxTries {
		_, err := c.handler.store.SetErrors(c.request.Context(), c.owner, c.id, now.Version, found)
		if !errors.Is(err, vault.ErrStale) {
			return err
		}
		if now, err = c.known(); err != nil {
			return err
		}
		if !maps.Equal(now.Variables, tested.Variables) {
			return nil
		}
		for scheme := range c.api.Auth {
			is := now.SecretVersion(scheme)
			if is != tested.SecretVersion(scheme) && (c.api.oauth == nil || scheme != c.api.oauthScheme || is != token) {
				return nil
			}
		}
	}
	return nil
}

// try makes the call, once.
func (c *call) try(ctx context.Context, opened *vault.Connection) testView {
	if opened == nil {
		return testView{Stage: stageCredentials}
	}
	ready, err := c.api.ready(opened)
	if err != nil {
		return testView{Stage: stageCredentials}
	}
	r, err := c.api.testRequest(ctx, opened)
	if err != nil {
		return testView{Stage: stageTarget}
	}
	session := session{refresher: c.handler.refresher, id: opened.ID, ready: ready}
	res, stage := c.ask(r, &session)
	if stage != "" {
		return testView{Stage: stage, token: session.sent.Version}
	}
	defer drain(res)
	c.api.auth.Redact(res.Header, res.Request.URL, session.put)
	result := testView{OK: res.StatusCode/100 == 2, Status: res.StatusCode, token: session.sent.Version}
	switch {
	case result.OK:
	case res.StatusCode == http.StatusUnauthorized:
		result.Stage = stageAuth
	case res.StatusCode == http.StatusForbidden:
		result.Stage, result.ScopesMissing = stageScope, c.api.scopesMissing(res, session.sent.Token)
	default:
		result.Stage = stageAnswer
	}
	return result
}

// ask sends the call, and again where its access token is not known any more.
func (c *call) ask(r *http.Request, session *session) (res *http.Response, stage string) {
	res, stage = c.attempt(r, session)
	if stage == "" && session.refuse(res.StatusCode) {
		drain(res)
		res, stage = c.attempt(r.Clone(r.Context()), session)
	}
	return res, stage
}

// attempt sends the call with its credentials, or returns the stage that failed.
func (c *call) attempt(r *http.Request, session *session) (res *http.Response, stage string) {
	credentials, err := session.credentials(r.Context())
	if err != nil {
		return nil, stageRefresh
	}
	location := *r.URL
	r.URL = &location // to which a credential may be added
	if err := c.api.auth.Apply(r, credential.Attempt{Now: time.Now()}, credentials); err != nil {
		return nil, stageCredentials
	}
	res, err = session.ready.transport(&c.handler.clients).RoundTrip(r)
	if err == nil {
		return res, ""
	}
	kind := proxyerror.Of(err)
	if kind != "" {
		c.handler.logger.Info("the test of a connection failed", zap.Inline(c), zap.Error(err))
	}
	return nil, stageOf(kind)
}

// testRequest is the call, without credentials.
func (a *API) testRequest(ctx context.Context, c *vault.Connection) (*http.Request, error) {
	call := TestRequest{Method: http.MethodGet}
	if a.Test != nil {
		call = *a.Test
	}
	path, query, _ := strings.Cut(call.Path, "?")
	location, err := a.target.Locate(c.Variables, target.Controls{}, &url.URL{RawQuery: query}, path)
	if err != nil {
		return nil, err
	}
	return newTestRequest(ctx, call.Method, location)
}

func newTestRequest(ctx context.Context, method string, location *url.URL) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "", http.NoBody)
	if err != nil {
		return nil, err
	}
	r.URL, r.Host = location, ""
	r.Header.Set("Accept", "application/json, */*;q=0.5")
	r.Header.Set("User-Agent", egress.UserAgent)
	return r, nil
}

// stageOf is where an attempt without an answer has failed.
func stageOf(kind string) string {
	switch kind {
	case proxyerror.DNSError:
		return stageDNS
	case proxyerror.TLSCertificate, proxyerror.TLSProtocol:
		return stageTLS
	case proxyerror.ConnectionRefused, proxyerror.ConnectionTimeout, proxyerror.ProhibitedIP:
		return stageConnect
	}
	return stageAnswer
}
