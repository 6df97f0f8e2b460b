package anychannel

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/secret"
)

const (
	defaultPoll = time.Hour
	minPoll     = time.Second

	// maxMetadata is the longest metadata, in characters, as the published
	// schemas have it.
	maxMetadata = 5000
)

// Encodings of the request to a service.
const (
	encodingForm = "form"
	encodingJSON = "json"
)

// Integration is one integration service.
type Integration struct {
	// The URL of the integration's manifest: an absolute https URL. An app's
	// `post_to_path` is resolved against it, and must stay on its host and port.
	// Where the URL answers with 301 or 308, the URL it has moved to counts, once
	// a good manifest was found there. Required.
	Manifest string `json:"manifest,omitempty"`

	// How the two parameters are sent: `form`
	// (`application/x-www-form-urlencoded`) or `json`. Default: `form`.
	Encoding string `json:"encoding,omitempty"`

	// How often the manifest is fetched, at least 1s; -1 for never.
	// Default: 1h.
	Poll caddy.Duration `json:"poll,omitempty"`

	name     string
	at       endpoint
	manifest *published
	acquired bool // whether the manifest is to be released
	metrics  integrationMetrics
}

// Instance is one account with which an integration was set up.
type Instance struct {
	// The name of its integration. Required.
	Integration string `json:"integration,omitempty"`

	// What the integration service is given with each request, at most 5000
	// characters, opaque to the edge: it holds the credentials of the account.
	// It takes placeholders, as in `{file./run/secrets/omniwear.json}`, which
	// are resolved once, when the config is loaded; empty is an error. Required.
	Metadata string `json:"metadata,omitempty"`

	// Whether the instance is switched off: its tickets are answered 404.
	// Default: false.
	Inactive bool `json:"inactive,omitempty"`

	// How many requests the instance may make. Default: no limit.
	RateLimit *RateLimit `json:"rate_limit,omitempty"`

	integration *Integration
	name        string
	prefix      payloadPrefix // of each request; it holds the metadata
	limiter     *rate.Limiter // nil for no limit
}

// RateLimit allows a number of requests in each window, on average. What comes
// too early is answered 429, with the time to wait in `Retry-After`.
type RateLimit struct {
	// The number of requests. After a window without any, all may come at once.
	Requests int `json:"requests,omitempty"`

	// The length of the window.
	Window caddy.Duration `json:"window,omitempty"`
}

// name is the form of integrations' and instances' names.
var name = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func checkName(s string) error {
	if !name.MatchString(s) {
		return fmt.Errorf("name '%s' must be 1 to 64 letters, digits, '_', '.' or '-'", s)
	}
	return nil
}

func checkManifestURL(raw string) error {
	if strings.Contains(raw, "{") {
		return nil // a placeholder: checked when the config is loaded
	}
	if _, err := parseEndpoint(raw); err != nil {
		return fmt.Errorf("manifest URL: %w", err)
	}
	return nil
}

func checkEncoding(encoding string) error {
	if encoding != encodingForm && encoding != encodingJSON {
		return fmt.Errorf("encoding '%s' is neither 'form' nor 'json'", encoding)
	}
	return nil
}

func (i *Integration) provision(name string, repl *caddy.Replacer) error {
	if i == nil {
		return errors.New("it is null")
	}
	i.name, i.metrics.name = name, name
	if err := checkName(name); err != nil {
		return err
	}
	if i.Encoding == "" {
		i.Encoding = encodingForm
	}
	if err := checkEncoding(i.Encoding); err != nil {
		return err
	}
	if i.Poll == 0 {
		i.Poll = caddy.Duration(defaultPoll)
	}
	if i.Poll > 0 && i.Poll < caddy.Duration(minPoll) {
		return fmt.Errorf("poll must be at least %s", minPoll)
	}
	raw, err := repl.ReplaceOrErr(i.Manifest, true, true)
	if err != nil {
		return fmt.Errorf("manifest URL: %w", err)
	}
	at, err := parseEndpoint(raw)
	if err != nil {
		return fmt.Errorf("manifest URL: %w", err)
	}
	known, err := acquireManifest(at)
	if err != nil {
		return err
	}
	i.at, i.manifest, i.acquired = at, known, true
	return nil
}

// cleanup lets go of the manifest. It also runs after a provision that failed,
// and before the last requests have ended, which still use it.
func (i *Integration) cleanup() error {
	if i == nil || !i.acquired {
		return nil
	}
	i.acquired = false
	return releaseManifest(i.at)
}

func (i *Instance) provision(name string, integrations map[string]*Integration, repl *caddy.Replacer, logger *zap.Logger) error {
	if i == nil {
		return errors.New("it is null")
	}
	if err := checkName(name); err != nil {
		return err
	}
	i.name = name
	if i.integration = integrations[i.Integration]; i.integration == nil {
		return fmt.Errorf("there is no integration '%s'", i.Integration)
	}
	metadata, err := resolveMetadata(i.Metadata, repl)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if secret.IsLiteral(i.Metadata) {
		logger.Warn("the metadata can be read in the config; use {env.*} or {file.*}", zap.String("instance", name))
	}
	i.prefix = newPayloadPrefix(i.integration.Encoding, metadata)
	if limit := i.RateLimit; limit != nil {
		if limit.Requests <= 0 || limit.Window <= 0 {
			return errors.New("rate_limit needs a number of requests and a window above zero")
		}
		i.limiter = rate.NewLimiter(rate.Every(time.Duration(limit.Window)/time.Duration(limit.Requests)), limit.Requests)
	}
	return nil
}

// resolveMetadata returns the metadata that a config value stands for. Errors do
// not hold it.
func resolveMetadata(configured string, repl *caddy.Replacer) (secret.Value, error) {
	metadata, err := secret.Resolve(repl, configured)
	if err != nil {
		return metadata, err
	}
	return metadata, checkMetadataText(metadata.Reveal())
}

// checkMetadataText checks metadata, wherever it is from. Errors do not hold it.
func checkMetadataText(metadata string) error {
	switch {
	case metadata == "":
		return errors.New("it is empty")
	case !utf8.ValidString(metadata):
		return errors.New("it is not UTF-8")
	case utf8.RuneCountInString(metadata) > maxMetadata:
		return fmt.Errorf("it is longer than %d characters", maxMetadata)
	}
	return nil
}
