package anychannel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

const (
	// the first fetch waits for the rest of this config, which may have the
	// service in it, or the way to it
	firstFetch = time.Second

	maxManifest     = 256 << 10 // bytes
	maxMoves        = 5         // redirects in one fetch
	manifestTimeout = 30 * time.Second
	firstRetry      = 10 * time.Second // of a broken fetch; doubled until the poll interval
)

// published is what is known of the manifest at one URL. It lives across config
// reloads, so that these neither forget a move nor fetch again.
type published struct {
	configured endpoint
	adopted    atomic.Pointer[endpoint] // where the last good manifest was found

	mu       sync.Mutex // over a fetch, so that two pollers don't make two
	fetched  time.Time  // when it was last tried
	good     time.Time  // when it last succeeded
	failures int        // since then
}

var manifests = caddy.NewUsagePool()

// acquireManifest returns what is known of the manifest at an endpoint. Each
// call is undone by one of releaseManifest with the same URL.
func acquireManifest(at endpoint) (*published, error) {
	shared, _, err := manifests.LoadOrNew(at.url.String(), func() (caddy.Destructor, error) {
		p := &published{configured: at}
		p.adopted.Store(&at)
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return shared.(*published), nil
}

func releaseManifest(at endpoint) error {
	_, err := manifests.Delete(at.url.String())
	return err
}

// Destruct implements caddy.Destructor.
func (*published) Destruct() error { return nil }

// base is what post_to_path is resolved against.
func (p *published) base() endpoint { return *p.adopted.Load() }

// poller keeps a manifest up to date, while a config runs.
type poller struct {
	*published
	integration string
	interval    time.Duration
	client      http.RoundTripper
	logger      *zap.Logger
}

// run polls until the context ends.
func (p *poller) run(ctx context.Context) {
	timer := time.NewTimer(firstFetch)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(p.fetchIfDue(ctx))
	}
}

// fetchIfDue returns how long to wait for the next fetch.
func (p *poller) fetchIfDue(ctx context.Context) time.Duration {
	if !p.mu.TryLock() {
		return firstFetch // another config is at it; waiting would hold up the end of this one
	}
	defer p.mu.Unlock()
	// an eighth too early is its time, too: that is more than the jitter
	if left := p.wait() - time.Since(p.fetched); left > p.wait()/8 {
		p.report()
		return left
	}
	found, m, err := p.fetch(ctx)
	if ctx.Err() != nil {
		return p.interval // nobody waits for it any more
	}
	p.fetched = time.Now()
	if err != nil {
		p.failures++
		p.broken(err)
	} else {
		p.good, p.failures = p.fetched, 0
		p.adopt(found, m)
	}
	p.report()
	// a tenth more or less, so that many edges don't come at once
	wait := p.wait()
	return wait + time.Duration((rand.Float64()-0.5)*0.2*float64(wait)) //nolint:gosec // it is no secret
}

// wait is the time from one fetch to the next.
func (p *poller) wait() time.Duration {
	if p.failures == 0 {
		return p.interval
	}
	return min(firstRetry<<min(p.failures-1, 20), p.interval)
}

// report tells when the manifest was last good, whichever integration fetched it.
func (p *poller) report() {
	if !p.good.IsZero() {
		manifestTime.WithLabelValues(p.integration).Set(float64(p.good.UnixMilli()) / 1e3)
	}
}

func (p *poller) adopt(found endpoint, m *manifest) {
	manifestFetches.WithLabelValues(p.integration, "ok").Inc()
	before := p.base()
	p.adopted.Store(&found)
	fields := []zap.Field{
		zap.String("integration", p.integration), zap.String("name", m.Name), zap.String("version", m.Version),
		zap.String("base", found.url.String()),
	}
	switch base := found.url.String(); {
	case base == before.url.String():
		p.logger.Debug("the manifest is good", fields...)
	case base == p.configured.url.String():
		p.logger.Info("the manifest is where the config says again", fields...)
	default:
		p.logger.Warn("the manifest has moved; the config should name its new URL", fields...)
	}
}

// broken leaves the last good manifest in its place.
func (p *poller) broken(err error) {
	result := "failed"
	if errors.As(err, new(manifestError)) {
		result = "invalid"
	}
	manifestFetches.WithLabelValues(p.integration, result).Inc()
	p.logger.Warn("the manifest cannot be used; the last good one stays", zap.String("integration", p.integration),
		zap.String("result", result), zap.Error(err), zap.Int("failures", p.failures))
}

// manifestError is one that the document's author can mend.
type manifestError struct{ error }

// fetch gets the manifest, from where it has moved to for good. Errors hold no
// bytes of the answer.
func (p *poller) fetch(ctx context.Context) (endpoint, *manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, manifestTimeout)
	defer cancel()
	at := p.configured
	for range maxMoves + 1 {
		document, moved, err := p.get(ctx, at)
		if err != nil {
			return at, nil, err
		}
		if moved == nil {
			m, err := parseManifest(document)
			if err != nil {
				return at, nil, manifestError{fmt.Errorf("manifest: %w", err)}
			}
			return at, m, nil
		}
		at = *moved
	}
	return at, nil, fmt.Errorf("it has moved more than %d times", maxMoves)
}

// get returns the document at a URL, or where it has moved.
func (p *poller) get(ctx context.Context, at endpoint) ([]byte, *endpoint, error) {
	request := (&http.Request{
		Method: http.MethodGet, URL: at.url, Host: at.url.Host,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {egress.UserAgent}},
	}).WithContext(ctx)
	res, err := p.client.RoundTrip(request)
	if err != nil {
		return nil, nil, fetchError(ctx, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		document, err := egress.ReadAll(res, maxManifest)
		if err != nil {
			return nil, nil, fetchError(ctx, err)
		}
		return document, nil, nil
	case http.StatusMovedPermanently, http.StatusPermanentRedirect:
		moved, err := at.movedTo(res.Header.Get("Location"))
		if err != nil {
			return nil, nil, fmt.Errorf("the Location it has moved to: %w", err)
		}
		return nil, &moved, nil
	}
	return nil, nil, fmt.Errorf("the answer was %d", res.StatusCode)
}

// movedTo returns where a permanent redirect leads, which may be another host.
func (base endpoint) movedTo(location string) (endpoint, error) {
	if location == "" {
		return endpoint{}, errors.New("it is missing")
	}
	ref, err := parseReference(location)
	if err != nil {
		return endpoint{}, err
	}
	return parseEndpoint(base.url.ResolveReference(ref).String())
}

// fetchError keeps from an error what may be logged.
func fetchError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, egress.ErrTooLarge), proxyerror.Of(err) != "":
		return err
	}
	return errors.New("the answer is malformed")
}
