package subscriptions

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/internal/egress"
)

// Handshakes, by which a target agrees to what somebody has subscribed it to.
const (
	handshakeHookSecret  = "x-hook-secret" // of REST Hooks
	handshakeCloudEvents = "cloudevents"   // of CloudEvents' HTTP 1.1 Web Hooks
	handshakeWebSub      = "websub"        // verification of intent
)

// Header fields of handshakes.
const (
	hookSecretField    = "X-Hook-Secret"
	originField        = "WebHook-Request-Origin"
	allowedOriginField = "WebHook-Allowed-Origin"
)

const (
	handshakeTimeout = 10 * time.Second // with the answer's body

	// longLease is what WebSub is told of subscriptions that do not end: it has no
	// word for that.
	longLease = 10 * 365 * 24 * time.Hour
)

var dnsName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func checkOrigin(origin string) error {
	if len(origin) > 253 || !dnsName.MatchString(origin) {
		return fmt.Errorf("origin '%s' is not a DNS name in lower case", origin)
	}
	return nil
}

func (h *Handler) parseHandshake(given json.RawMessage, s *signing) error {
	if given == nil {
		return nil
	}
	switch s.Handshake, _ = text(given); s.Handshake {
	case handshakeHookSecret, handshakeWebSub:
		return nil
	case handshakeCloudEvents:
		if s.Origin = h.Origin; s.Origin != "" {
			return nil
		}
	}
	return errHandshake
}

// createAgreed keeps a subscription that its target agrees to. Of the same ones at
// once, one after the other has it asked, and no more when it has agreed: a
// target would take the secret that it was sent last.
func (h *Handler) createAgreed(ctx context.Context, a *application) (kept *subscription, created bool, err error) {
	done, err := h.store.turns.take(ctx, a.key())
	if err != nil {
		return nil, false, err
	}
	defer done()
	if kept, created, err = h.store.create(ctx, a, h.MaxPerOwner); !errors.Is(err, errNotAgreed) {
		return kept, created, err // since the last look
	}
	if !h.store.owners.allow(a.owner, time.Now()) {
		return nil, false, errOwnerRate
	}
	if err := h.shakeHands(ctx, a); err != nil {
		return nil, false, err
	}
	return h.store.create(ctx, a, h.MaxPerOwner)
}

// key is what the same subscriptions have in common.
func (s *subscription) key() string {
	encoded, _ := json.Marshal([]any{s.owner, s.targetURL, s.resourceType, s.resourceID, s.events}) // texts always encode
	return string(encoded)
}

var errNoConsent = errors.New("the answer does not agree")

// shakeHands asks the target. Nothing of what it answers is told: who subscribes
// could read with it what only the edge can reach.
func (h *Handler) shakeHands(ctx context.Context, a *application) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var err error
	switch a.signing.Handshake {
	case handshakeHookSecret:
		err = h.shakeHookSecret(ctx, a)
	case handshakeCloudEvents:
		err = h.shakeCloudEvents(ctx, a)
	case handshakeWebSub:
		err = h.shakeWebSub(ctx, a)
	}
	if err != nil {
		h.logger.Debug("a handshake failed", zap.String("handshake", a.signing.Handshake), zap.Error(err))
		return errShake
	}
	a.agreed = true
	return nil
}

// ask sends a request to the target. An answer other than 2xx is an error; so is
// a redirect, which is not followed.
func (h *Handler) ask(ctx context.Context, a *application, method, target, body string, set func(http.Header)) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return nil, errNoConsent // its text has the URL
	}
	request.Header = a.header()
	request.Header.Set("User-Agent", egress.UserAgent)
	if set != nil {
		set(request.Header)
	}
	res, err := h.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		_ = res.Body.Close()
		return nil, errNoConsent
	}
	return res, nil
}

// shakeHookSecret sends a secret, which the target has to send back.
func (h *Handler) shakeHookSecret(ctx context.Context, a *application) error {
	a.HookSecret = rand.Text()
	res, err := h.ask(ctx, a, http.MethodPost, a.targetURL, "{}", func(header http.Header) {
		header.Set("Content-Type", "application/json")
		header.Set(hookSecretField, a.HookSecret)
	})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if values := res.Header.Values(hookSecretField); len(values) != 1 || values[0] != a.HookSecret {
		return errNoConsent
	}
	return nil
}

// shakeCloudEvents says who wants to deliver, which the target has to allow.
func (h *Handler) shakeCloudEvents(ctx context.Context, a *application) error {
	res, err := h.ask(ctx, a, http.MethodOptions, a.targetURL, "", func(header http.Header) {
		header.Set(originField, a.signing.Origin)
	})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	values := res.Header.Values(allowedOriginField)
	if len(values) != 1 || values[0] != "*" && !strings.EqualFold(values[0], a.signing.Origin) {
		return errNoConsent
	}
	return nil
}

// shakeWebSub says what the target was subscribed to, and sends a challenge,
// which has to be the answer.
func (h *Handler) shakeWebSub(ctx context.Context, a *application) error {
	u, err := url.Parse(a.targetURL)
	if err != nil {
		return errNoConsent
	}
	lease := longLease
	if a.expiresAt != 0 {
		lease = max(time.Until(time.UnixMicro(a.expiresAt)), time.Second)
	}
	challenge := rand.Text()
	query := url.Values{
		"hub.mode":          {"subscribe"},
		"hub.topic":         {a.resourceType + "/" + url.PathEscape(a.resourceID)},
		"hub.challenge":     {challenge},
		"hub.lease_seconds": {strconv.Itoa(int(lease.Seconds()))},
	}.Encode()
	if u.RawQuery != "" { // it stays as it was written
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	res, err := h.ask(ctx, a, http.MethodGet, u.String(), "", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answered, err := io.ReadAll(io.LimitReader(res.Body, int64(len(challenge))+1))
	if err != nil {
		return err
	}
	if string(answered) != challenge {
		return errNoConsent
	}
	return nil
}
