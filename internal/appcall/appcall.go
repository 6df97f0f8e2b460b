// Package appcall makes requests to an app of the operator's own as the config
// has written them: to a URL with ids in it, with headers that may be secrets,
// and with the id of the user for whom the app is asked.
package appcall

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/internal/secret"
)

// Expand puts values into a URL, percent-encoded where they stand. The pairs
// are placeholders, such as {user_id}, and their values, which have visible
// ASCII characters only. A value that makes dot segments of a path is an error.
func Expand(template string, pairs ...string) (*url.URL, error) {
	encoded := make([]string, len(pairs))
	for i := range pairs {
		if encoded[i] = pairs[i]; i%2 == 1 {
			// it leaves what no path either reads as more than itself, and there is
			// no space, which it would make a plus sign
			encoded[i] = url.QueryEscape(pairs[i])
		}
	}
	u, err := url.Parse(strings.NewReplacer(encoded...).Replace(template))
	if err != nil {
		return nil, err
	}
	return u, rawpath.Check(u.EscapedPath())
}

// CheckURL checks a URL before values for these placeholders are in it. Errors
// do not repeat it: it may hold a secret.
func CheckURL(template string, placeholders ...string) error {
	var some, others []string
	for _, placeholder := range placeholders {
		some, others = append(some, placeholder, "1"), append(others, placeholder, "2")
	}
	u, err := Expand(template, some...)
	if err != nil {
		return errors.New("the URL cannot be parsed, or has dot segments")
	}
	other, err := Expand(template, others...)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("the URL must begin with http:// or https:// and a host")
	case u.Scheme != other.Scheme || u.Host != other.Host:
		return fmt.Errorf("the URL's host must not depend on %s", strings.Join(placeholders, " or "))
	case u.User != nil:
		return errors.New("the URL must not have a user or password; use a header")
	case u.Fragment != "" || strings.Contains(template, "#"):
		return errors.New("the URL must not have a fragment")
	}
	return nil
}

// Headers are what requests are sent with.
type Headers struct {
	user string
	own  map[string]secret.Value
}

// NewHeaders returns the headers that a config has: the one that carries the
// user's id, and others by name, whose values are secrets and are resolved.
func NewHeaders(repl *caddy.Replacer, user string, configured map[string]string, logger *zap.Logger) (Headers, error) {
	if err := CheckUserHeader(user); err != nil {
		return Headers{}, err
	}
	h := Headers{http.CanonicalHeaderKey(user), make(map[string]secret.Value)}
	for name, written := range configured {
		if err := CheckHeader(name); err != nil {
			return Headers{}, err
		}
		key := http.CanonicalHeaderKey(name)
		if key == h.user {
			return Headers{}, fmt.Errorf("header %s has the user's id", key)
		}
		if _, ok := h.own[key]; ok {
			return Headers{}, fmt.Errorf("header %s is given twice", key)
		}
		value, err := secret.Resolve(repl, written)
		if err == nil && !httpguts.ValidHeaderFieldValue(value.Reveal()) {
			err = errors.New("its value has characters that no header can carry")
		}
		if err != nil {
			return Headers{}, fmt.Errorf("header %s: %w", key, err)
		}
		if secret.IsLiteral(written) && key == "Authorization" {
			logger.Warn("the header's secret can be read in the config; use {env.*} or {file.*}", zap.String("header", key))
		}
		h.own[key] = value
	}
	return h, nil
}

// For returns the header of a request on behalf of a user.
func (h Headers) For(user string) http.Header {
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {egress.UserAgent}}
	for name, value := range h.own {
		header[name] = []string{value.Reveal()}
	}
	header[h.user] = []string{user}
	return header
}

// Has reports whether h sets a header, whose name is canonical.
func (h Headers) Has(name string) bool {
	_, ok := h.own[name]
	return ok || name == h.user
}

// CheckHeader refuses names that are not for the config to set.
func CheckHeader(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("'%s' is not a header name", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Connection", "Content-Length", "Expect", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return fmt.Errorf("header '%s' has a meaning of its own", name)
	}
	return nil
}

// CheckUserHeader refuses names that cannot carry the user's id.
func CheckUserHeader(name string) error {
	if err := CheckHeader(name); err != nil {
		return err
	}
	if strings.ContainsAny(name, "_.") {
		return fmt.Errorf("header '%s': Caddy drops names with '_' or '.'", name)
	}
	return nil
}
