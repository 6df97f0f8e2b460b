package subscriptions

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// What a subscription's status can be.
const (
	statusActive   = "active"
	statusPaused   = "paused"   // its deliveries wait
	statusDisabled = "disabled" // its target has failed for too long; its deliveries wait
	statusEnded    = "ended"    // its target answered 410
)

const (
	idPrefix  = "sub_"
	maxTarget = 2048 // bytes
)

// subscription is a row. Times are microseconds since 1970.
type subscription struct {
	id           string
	owner        string
	targetURL    string
	resourceType string
	resourceID   string
	events       []string // sorted, each once
	status       string
	ordered      bool
	flat         bool
	filter       string // JSON; "": none
	signing      signing
	rateLimit    int   // deliveries a second; 0: any
	expiresAt    int64 // 0: never
	createdAt    int64
	updatedAt    int64
}

// newID returns the id of a new subscription. Later ones sort behind it.
func newID() string { return idPrefix + ulid.Make().String() }

// validID reports whether a text can be a subscription's id.
func validID(text string) bool {
	encoded, ok := strings.CutPrefix(text, idPrefix)
	if !ok {
		return false
	}
	parsed, err := ulid.ParseStrict(encoded)
	return err == nil && parsed.String() == encoded
}

// view is a subscription as its owner sees it.
type view struct {
	ID             string          `json:"id"`
	TargetURL      string          `json:"target_url"`
	ResourceType   string          `json:"resource_type"`
	ResourceID     string          `json:"resource_id"`
	Events         []string        `json:"events"`
	Status         string          `json:"status"`
	Ordered        bool            `json:"ordered"`
	Flat           bool            `json:"flat"`
	Filter         json.RawMessage `json:"filter"`
	Headers        []string        `json:"headers"` // the names
	RateLimit      *int            `json:"rate_limit"`
	Signature      string          `json:"signature"`
	PublicKey      string          `json:"public_key,omitempty"`
	Handshake      *string         `json:"handshake"`
	ExpiresAt      *string         `json:"expires_at"`
	ExpirationDate *string         `json:"expiration_date"` // the same, for who knows it by that name
	CreatedAt      string          `json:"created_at"`
	UpdatedAt      string          `json:"updated_at"`
	Secret         string          `json:"secret,omitempty"` // in the answer that creates it, only
}

func (s *subscription) view() view {
	v := view{
		ID: s.id, TargetURL: s.targetURL, ResourceType: s.resourceType, ResourceID: s.resourceID, Events: s.events,
		Status: s.status, Ordered: s.ordered, Flat: s.flat, Filter: json.RawMessage("null"), CreatedAt: formatTime(s.createdAt), UpdatedAt: formatTime(s.updatedAt),
	}
	if s.expiresAt != 0 {
		expiry := formatTime(s.expiresAt)
		v.ExpiresAt, v.ExpirationDate = &expiry, &expiry
	}
	s.signing.show(&v)
	if s.filter != "" {
		v.Filter = json.RawMessage(s.filter)
	}
	if s.rateLimit != 0 {
		v.RateLimit = &s.rateLimit
	}
	return v
}

func formatTime(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339Nano) }

// application is what somebody asks for who subscribes.
type application struct {
	subscription
	secret signature.Secret
	confidential
	agreed bool // whether the target has been asked, if it has to be
}

// parseApplication reads the body of a request to subscribe.
func (h *Handler) parseApplication(o object) (*application, error) {
	a := &application{subscription: subscription{status: statusActive, signing: h.newSigning()}}
	var ok bool
	if a.targetURL, ok = text(o.get("target_url", "url", "webhook_url", "callback_url", "hookUrl")); !ok || !validTarget(a.targetURL, h.AllowHTTP) {
		return nil, errTarget
	}
	if !h.reaches(a.targetURL) {
		return nil, errTargetRefused
	}
	if a.resourceType, ok = h.resourceType(o.get("resource_type")); !ok {
		return nil, errResourceType
	}
	if a.resourceID, ok = identifier(o.get("resource_id")); !ok {
		return nil, errResourceID
	}
	var err error
	if a.events, err = parseEvents(o, h.catalogueOf(a.resourceType)); err != nil {
		return nil, err
	}
	if a.secret, err = a.signing.parseSignature(o.get("signature")); err != nil {
		return nil, err
	}
	if given := o.get("secret"); given != nil {
		if a.signing.Version == versionPair {
			return nil, errSecret
		}
		if a.secret, ok = parseSecret(given); !ok {
			return nil, errSecret
		}
	}
	if given := o.get("ordered"); given != nil {
		if a.ordered, ok = boolean(given); !ok {
			return nil, errOrdered
		}
	}
	if err = h.parseHandshake(o.get("handshake"), &a.signing); err != nil {
		return nil, err
	}
	t, err := h.parseTerms(o)
	if err != nil {
		return nil, err
	}
	t.apply(&a.subscription)
	if t.headers != nil {
		a.Headers = *t.headers
	}
	a.Secrets = []storedSecret{{Secret: a.secret.Reveal()}}
	return a, nil
}

// resourceType may be left out where there is only one.
func (h *Handler) resourceType(given json.RawMessage) (string, bool) {
	if given == nil && len(h.Resources) == 1 {
		for name := range h.Resources {
			return name, true
		}
	}
	name, ok := text(given)
	return name, ok && (h.Resources[name] != nil || isReserved(name))
}

// parseEvents reads the types and wildcards that a body names.
func parseEvents(o object, catalogue map[string]*EventType) ([]string, error) {
	var events []string
	if given := o.get("events"); given != nil {
		var list []json.RawMessage
		if json.Unmarshal(given, &list) != nil {
			return nil, errEventsNone
		}
		for _, encoded := range list {
			event, ok := text(encoded)
			if !ok {
				return nil, errEvents
			}
			events = append(events, event)
		}
	} else if event, ok := text(o.get("event")); ok {
		events = []string{event}
	}
	if len(events) == 0 {
		return nil, errEventsNone
	}
	for _, event := range events {
		if !eventtype.InCatalogue(event, catalogue) {
			return nil, errEvents
		}
	}
	slices.Sort(events) // it is a set, and compared as text
	return slices.Compact(events), nil
}

func parseSecret(given json.RawMessage) (signature.Secret, bool) {
	plain, ok := text(given)
	if !ok || !strings.HasPrefix(plain, secretPrefix) {
		return signature.Secret{}, false
	}
	secret, err := signature.ParseSecret(plain)
	return secret, err == nil
}

// parseTime reads a time. Whether it is in the future, the database's clock says.
func parseTime(given json.RawMessage) (int64, bool) {
	written, ok := text(given)
	if !ok {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339, written)
	return micros(at), err == nil && micros(at) > 0
}

// validTarget reports whether a URL can be delivered to. Whether the address
// that it leads to may be dialled is found out when it is.
func validTarget(target string, allowHTTP bool) bool {
	if target == "" || len(target) > maxTarget || strings.ContainsRune(target, '#') {
		return false
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] >= 0x7f {
			return false
		}
	}
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return false
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return false
		}
	}
	return u.Scheme == "https" || u.Scheme == "http" && allowHTTP
}
