package connections

import (
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/retry"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

// How much is read of an answer that nobody gets, and for how long, so that its
// connection can be used again.
const (
	maxDrained = 64 << 10
	drainTime  = time.Second
)

// attempts sends requests to APIs, again where that helps.
type attempts struct{}

// repeatable is what of the request counts for another attempt.
func (ex *exchange) repeatable() retry.Request {
	return retry.Request{Method: ex.inbound.Method, Header: ex.inbound.Header, Replayable: ex.body.replayable()}
}

// RoundTrip implements http.RoundTripper.
func (attempts) RoundTrip(out *http.Request) (*http.Response, error) {
	ex := exchangeOf(out.Context())
	ex.api.budget.Request()
	for retries := 0; ; retries++ {
		res, err := ex.attempt(out)
		wait, again := ex.decide(retries, res, err)
		if !again || !ex.api.budget.Take() {
			return res, err
		}
		drain(res)
		if !ex.pause(out, wait) {
			return nil, out.Context().Err()
		}
		ex.api.measured.retries.Inc()
		// the transport may still look at the request of an attempt that is over
		out = out.Clone(out.Context())
		ex.body.rewind(out)
	}
}

// attempt sends a request with its credentials.
func (ex *exchange) attempt(out *http.Request) (*http.Response, error) {
	ex.watch.Pause() // what comes first is the authorization server's, who has its own time
	credentials, err := ex.session.credentials(out.Context())
	if err != nil {
		return nil, err
	}
	ex.watch.Resume()
	location := *ex.location
	out.URL = &location // to which a credential may be added
	err = ex.api.auth.Apply(out, credential.Attempt{Now: time.Now(), Body: ex.body.held}, credentials)
	if err != nil {
		return nil, err
	}
	return ex.ready.transport(&ex.handler.clients).Stream(out)
}

func (ex *exchange) decide(retries int, res *http.Response, err error) (wait time.Duration, again bool) {
	o := retry.Outcome{Retries: retries, Elapsed: time.Since(ex.start), Now: time.Now()}
	switch {
	case err != nil:
		if o.Failure = proxyerror.Of(err); o.Failure == "" {
			return 0, false
		}
	case res.StatusCode < http.StatusBadRequest:
		return 0, false
	case ex.session.refuse(res.StatusCode):
		if ex.mayReplace(res) {
			return 0, true
		}
		ex.session.refresher.Reject(ex.session.id, ex.session.refused) // for the next request
		return 0, false
	default:
		o.Status, o.Header = res.StatusCode, res.Header
	}
	return retry.Decide(ex.repeatable(), o, rand.Float64()) //nolint:gosec // it is no secret
}

// mayReplace reports whether the request can be sent again with another access
// token: it is repeatable, or nothing says that the API has done something.
func (ex *exchange) mayReplace(res *http.Response) bool {
	again := ex.repeatable()
	return again.Replayable && (again.Idempotent() || res.ContentLength == 0)
}

// drain ends an answer that nobody gets.
func drain(res *http.Response) {
	if res != nil {
		late := time.AfterFunc(drainTime, func() { _ = res.Body.Close() }) // which ends the read
		defer late.Stop()
		_, _ = io.CopyN(io.Discard, res.Body, maxDrained)
		_ = res.Body.Close()
	}
}

// pause waits, and reports whether the client still does.
func (ex *exchange) pause(r *http.Request, wait time.Duration) bool {
	ex.watch.Pause()
	return sleep(r.Context(), wait)
}
