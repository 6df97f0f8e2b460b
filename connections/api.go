package connections

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/time/rate"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/openapi"
	"github.com/f737063d/caddy-connector/connections/retry"
	"github.com/f737063d/caddy-connector/connections/target"
	"github.com/f737063d/caddy-connector/connections/template"
	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/loopback"
)

// API is a third-party API. Versori calls it a connector.
type API struct {
	// Where the API is: an absolute https URL. One with http is warned of, because
	// credentials go there in plain text, unless it is this machine's. Parts that differ between users are
	// variables, such as `{{subdomain}}`, in the host or the path. No value of a
	// variable leaves the part of the URL that it stands in.
	BaseURL string `json:"base_url"`

	// What there is to say of the variables, by name.
	Variables map[string]*Variable `json:"variables,omitempty"`

	// How the API takes credentials: one or more schemes, in order. A connection
	// has a credential for each. At least one is required.
	Auth []*Scheme `json:"auth"`

	// The call that tells whether a connection works. Default: `GET` of the base
	// URL.
	Test *TestRequest `json:"test,omitempty"`

	// The file with the API's OpenAPI document (3.0 or 3.1, in JSON or YAML, at most
	// 32 MiB), against which users can have the API tested. Paths of the document are
	// behind the base URL; its servers are not asked. The file's path is relative to
	// the working directory; it is read when the config is loaded. Default: none.
	OpenAPI string `json:"openapi,omitempty"`

	// Hosts, with or without a port, that a request may call instead of that of
	// the base URL, with the same credentials. Default: none.
	AllowBaseURL []string `json:"allow_base_url,omitempty"`

	// How many requests a second a connection may make, with bursts of as many.
	// More are answered 429. Default: any number.
	RateLimit int `json:"rate_limit,omitempty"`

	name     string
	template *template.Template
	target   *target.API
	auth     *credential.Auth
	withheld header.Set // what callers cannot set, because the credentials do
	budget   retry.Budget
	limiters limiters
	measured measured
	document *openapi.Document // nil: none is configured

	oauth       *oauth.Client // nil: none of the schemes is oauth2
	oauthScheme int           // its index
}

// Variable is a part of the base URL that differs between users.
type Variable struct {
	// Where neither the request nor the connection has a value. Default: there
	// must be one.
	Default string `json:"default,omitempty"`

	// A regular expression that values must match as a whole. Default: one DNS
	// label in the host; in the path, anything, percent-encoded.
	Pattern string `json:"pattern,omitempty"`

	// The longest value, in bytes, at most 1024. Default: 255.
	MaxLength int `json:"max_length,omitempty"`

	// Whether a request may set the variable.
	Overridable bool `json:"overridable,omitempty"`
}

// TestRequest is a request to the API.
type TestRequest struct {
	// `GET`, which is the default, or another method without a body.
	Method string `json:"method,omitempty"`

	// The path behind the base URL, and the query, if there is one.
	Path string `json:"path"`
}

var apiName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func checkAPIName(name string) error {
	if !apiName.MatchString(name) {
		return fmt.Errorf("'%s' is not 1 to 64 letters, digits, '_' and '-'", name)
	}
	return nil
}

func (a *API) provision(name string) error {
	if a == nil {
		return errors.New("base_url is required")
	}
	if err := checkAPIName(name); err != nil {
		return err
	}
	if err := a.compile(); err != nil {
		return err
	}
	if err := a.Test.provision(); err != nil {
		return fmt.Errorf("test: %w", err)
	}
	if a.RateLimit < 0 {
		return fmt.Errorf("rate_limit is negative: %d", a.RateLimit)
	}
	a.name, a.measured = name, measure(name)
	return nil
}

// compile makes what requests need of the config.
func (a *API) compile() error {
	variables := make(map[string]template.Variable, len(a.Variables))
	for name, v := range a.Variables {
		if v == nil {
			v = new(Variable)
		}
		variables[name] = template.Variable{Default: v.Default, Pattern: v.Pattern, MaxLength: v.MaxLength, Overridable: v.Overridable}
	}
	var err error
	if a.template, err = template.Parse(a.BaseURL, variables); err != nil {
		return fmt.Errorf("base_url: %w", err)
	}
	if a.target, err = target.New(a.template, a.AllowBaseURL...); err != nil {
		return err
	}
	return a.compileAuth()
}

func (a *API) compileAuth() error {
	if len(a.Auth) == 0 {
		return errors.New("auth is required; `none` is for an API that takes no credential")
	}
	schemes := make([]credential.Scheme, len(a.Auth))
	for i, configured := range a.Auth {
		if configured == nil {
			return fmt.Errorf("auth %d is null", i+1)
		}
		var err error
		if schemes[i], err = configured.scheme(); err != nil {
			return fmt.Errorf("auth %s: %w", configured.Type, err)
		}
	}
	var err error
	if a.auth, err = credential.New(schemes...); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	a.withheld = a.auth.Headers()
	return nil
}

// isExposed reports whether credentials go to the API in plain text, and not to this
// machine.
func (a *API) isExposed() bool {
	if a.template.Scheme() == "https" {
		return false
	}
	_, rest, _ := strings.Cut(a.BaseURL, "://")
	authority, _, _ := strings.Cut(rest, "/")
	return !loopback.IsHost((&url.URL{Host: authority}).Hostname())
}

// limiter returns a connection's, or nil.
func (a *API) limiter(id string) *rate.Limiter {
	if a.RateLimit == 0 {
		return nil
	}
	return a.limiters.of(id, a.RateLimit)
}

func (t *TestRequest) provision() error {
	if t == nil {
		return nil
	}
	if t.Method == "" {
		t.Method = http.MethodGet
	}
	switch t.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return fmt.Errorf("'%s' is not a method that is forwarded", t.Method)
	}
	path, _, _ := strings.Cut(t.Path, "?")
	if err := checkPrefix(path); err != nil || strings.Contains(t.Path, "#") {
		return fmt.Errorf("'%s' is not a path that begins with a slash", t.Path)
	}
	return nil
}
