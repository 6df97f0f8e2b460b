package subscriptions

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/appcall"
	"github.com/f737063d/caddy-connector/internal/httptransport"
	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/subscriptions/eventtype"
)

// Resource is a type of resources, and how a user's are found. Either `from` or
// `public` is required.
//
// The app is asked with a GET, whenever a user lists their resources, subscribes,
// or has a subscription changed or resumed; nothing is kept. It answers 200 with a
// JSON array of objects. If there are more pages, the answer has a `Link` header
// whose relation is `next`, to a URL of the same scheme, host and port. All of it
// may take 10 seconds, 100 pages of at most 4 MiB, 16 MiB in all, and 100,000
// resources. 401 and 403 say that the user may see none, and so does 404 if
// `{user_id}` is in the URL. No redirect is followed.
type Resource struct {
	// Whether every user may subscribe to every id of this type, also to ids that
	// there are not. Nobody is asked, nothing can be listed, and no other field
	// may be set. Whether users may see what happens to a resource must then be
	// checked before this handler, or when it is published, with `account_id`.
	Public bool `json:"public,omitempty"`

	// Where the resources that a user sees are listed: an http or https URL, with
	// `{user_id}` in its path or query if the app wants it there. Other
	// placeholders are resolved once, when the config is loaded. The operator
	// writes it, so it may lead to a private address. In a path, a user's id must
	// not make dot segments: such users are answered 403.
	From string `json:"from,omitempty"`

	// The member of each object that is its id: a text of at most 255 characters
	// or a whole number. Default: `id`.
	ID string `json:"id,omitempty"`

	// The member of each object that is its label: a text or a number. Default:
	// `value`.
	Value string `json:"value,omitempty"`

	// The request header that carries the user's id. Default: `X-User-Id`.
	UserHeader string `json:"user_header,omitempty"`

	// More request headers, such as an `Authorization` by which the app knows the
	// edge. Each value is a secret and takes placeholders, as in
	// `Bearer {env.APP_TOKEN}`, which are resolved once, when the config is
	// loaded; an empty one is an error.
	Headers map[string]string `json:"headers,omitempty"`

	// Whether the user's own `Authorization` and `Cookie` headers are passed on to
	// the app. Default: they stop here.
	ForwardCredentials bool `json:"forward_credentials,omitempty"`

	// How to reach the app: Caddy's `http` reverse proxy transport.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	name      string
	template  string // From, with nothing but {user_id} to be resolved
	headers   appcall.Headers
	transport http.RoundTripper
}

// reservedResource and connectionResource are the types of the events that the edge
// itself has to tell, and allResources the id that stands for all of their kind.
const (
	reservedResource   = "subscription"
	connectionResource = "connection"
	allResources       = "*"
)

// Defaults of Resource's fields.
const (
	defaultIDMember    = "id"
	defaultValueMember = "value"
	defaultUserHeader  = "X-User-Id"
)

// userPlaceholder stands for the user's id in Resource's From.
const userPlaceholder = "{user_id}"

// credentials are the headers by which a user is known to the edge.
var credentials = [...]string{"Authorization", "Cookie"}

var resourceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func checkName(name string) error {
	if !resourceName.MatchString(name) {
		return fmt.Errorf("resource '%s': a name has 1 to 64 letters, digits, '_', '.' and '-'", name)
	}
	if isReserved(name) {
		return fmt.Errorf("resource '%s': this name is reserved", name)
	}
	return nil
}

func checkType(eventType string) error {
	if !eventtype.Valid(eventType) {
		return fmt.Errorf("'%s' is not a type of events such as task.create", eventType)
	}
	return nil
}

// checkSource reports whether a config says where resources are found, and only
// once.
func (res *Resource) checkSource() error {
	asked := res.From != "" || res.ID != "" || res.Value != "" || res.UserHeader != "" || len(res.Headers) > 0 ||
		res.ForwardCredentials || res.TransportRaw != nil
	switch {
	case res.Public && asked:
		return errors.New("'public' excludes 'from' and all that belongs to it")
	case !res.Public && res.From == "":
		return errors.New("'from' or 'public' is required")
	}
	return nil
}

// provision sets up what is asked. Nothing is, yet.
func (res *Resource) provision(ctx caddy.Context, name string, logger *zap.Logger) error {
	if err := checkName(name); err != nil {
		return err
	}
	if res == nil {
		return fmt.Errorf("resource '%s' is null", name)
	}
	err := res.checkSource()
	if err == nil && !res.Public {
		err = res.provisionSource(ctx, logger)
	}
	if err != nil {
		return fmt.Errorf("resource '%s': %w", name, err)
	}
	res.name = name
	return nil
}

func (res *Resource) provisionSource(ctx caddy.Context, logger *zap.Logger) error {
	res.ID = cmp.Or(res.ID, defaultIDMember)
	res.Value = cmp.Or(res.Value, defaultValueMember)
	res.UserHeader = cmp.Or(res.UserHeader, defaultUserHeader)
	repl := caddy.NewReplacer()
	res.template = repl.ReplaceKnown(res.From, "")
	if err := appcall.CheckURL(res.template, userPlaceholder); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	var err error
	if res.headers, err = appcall.NewHeaders(repl, res.UserHeader, res.Headers, logger); err != nil {
		return err
	}
	for _, name := range credentials {
		if res.ForwardCredentials && res.headers.Has(name) {
			return fmt.Errorf("header %s is the user's own, by forward_credentials", name)
		}
	}
	res.transport, err = httptransport.Load(ctx, res, &res.TransportRaw)
	return err
}

// checkPath refuses a path that no request target has.
func checkPath(path string) error {
	if !rawpath.IsLiteral(path) || strings.HasPrefix(path, "//") || len(path) > 1 && strings.HasSuffix(path, "/") {
		return fmt.Errorf("'%s' is not a path that begins with a slash and does not end with one", path)
	}
	return nil
}
