// Package credential puts the credentials of a connection into requests to its
// API. An API takes them in one or more schemes, in order; a connection has one
// credential for each.
package credential

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/f737063d/caddy-connector/internal/header"
)

// Why credentials are not put into a request. None holds bytes of either.
var (
	// ErrMismatch is for credentials that are not for the schemes, whose config has
	// changed since: the user must connect anew.
	ErrMismatch = errors.New("the credentials are for other schemes")

	// ErrExpired is for an access token that must not be sent any more.
	ErrExpired = errors.New("the access token has expired")

	// ErrBody is for a body that must be signed and is not held.
	ErrBody = errors.New("the body must be held to be signed")
)

const maxSchemes = 8

// Scheme is one way in which an API takes a credential: None, APIKey, Basic,
// Bearer, OAuth2, HMAC or Certificate. Its value is what the config says of it.
type Scheme interface {
	// Type is its name in the config, and in the stored form of its credentials.
	Type() string

	// check reports what is wrong with the config.
	check() error

	// claims are the places in a request that are the scheme's alone.
	claims() []claim

	// read makes a credential of a stored form. What is wrong, m says in the end.
	read(m *members) applier
}

// applier puts one credential into requests. The places of all schemes are empty
// when the first one is asked.
type applier interface {
	apply(r *http.Request, at Attempt) error
	form() any // encoded by encoding/json, as it is stored
}

// Attempt is what differs between the attempts at one request.
type Attempt struct {
	Now time.Time

	// Body is what the request's body holds, if NeedsBody.
	Body []byte
}

// Credential is a secret that is ready to be put into requests. It doesn't
// change, and can be used by several goroutines. Whatever prints, logs or encodes
// it gets REDACTED.
type Credential struct{ hidden[kept] }

type kept struct {
	kind string
	applier
	repeatable
}

// Type returns the type of its scheme.
func (c Credential) Type() string { return c.reveal().kind }

// Auth is how an API takes credentials. It can be used by several goroutines.
type Auth struct {
	schemes   []Scheme
	headers   header.Set
	queries   header.Set // PHP folds the names of parameters and cookies, too
	cookies   header.Set
	hasQuery  bool
	hasCookie bool
	needsBody bool
}

// New returns the Auth of schemes that are used in this order. No two of them may
// claim the same place. None of them is the same as None.
func New(schemes ...Scheme) (*Auth, error) {
	if len(schemes) > maxSchemes {
		return nil, fmt.Errorf("there are more than %d schemes", maxSchemes)
	}
	a := &Auth{schemes: schemes}
	var taken []claim
	for _, scheme := range schemes {
		if err := scheme.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", scheme.Type(), err)
		}
		for _, c := range scheme.claims() {
			for _, other := range taken {
				if c.overlaps(other) {
					return nil, fmt.Errorf("%s: the %s is claimed twice", scheme.Type(), c)
				}
			}
			taken = append(taken, c)
			a.claim(c)
		}
		if signed, ok := scheme.(HMAC); ok {
			a.needsBody = a.needsBody || signed.needsBody()
		}
	}
	return a, nil
}

func (a *Auth) claim(c claim) {
	switch c.in {
	case inHeader:
		a.headers = a.headers.Union(header.NewSet(c.name))
	case inQuery:
		a.queries, a.hasQuery = a.queries.Union(header.NewSet(c.name)), true
	case inCookie:
		a.cookies, a.hasCookie = a.cookies.Union(header.NewSet(c.name)), true
	}
}

// Types returns the types of the schemes, in order.
func (a *Auth) Types() []string {
	types := make([]string, len(a.schemes))
	for i, scheme := range a.schemes {
		types[i] = scheme.Type()
	}
	return types
}

// NeedsBody reports whether a request's body must be held, to be signed.
func (a *Auth) NeedsBody() bool { return a.needsBody }

// Headers are the fields that the schemes set. What a caller sends under one of
// them, as a trailer too, is not for the API.
func (a *Auth) Headers() header.Set { return a.headers }

// Fills reports whether the schemes set a parameter of a request's header, query or
// cookies, as OpenAPI names these places.
func (a *Auth) Fills(in, name string) bool {
	switch in {
	case inHeader:
		return a.headers.Has(name)
	case inQuery:
		return a.queries.Has(name)
	case inCookie:
		return a.cookies.Has(name)
	}
	return false
}

// Apply puts the credentials, one for each scheme, into an outbound request whose
// URL and header are otherwise final. It replaces what the request has in their
// places, in any spelling; so the request can be sent again after another Apply.
// If it fails, their places are empty.
func (a *Auth) Apply(r *http.Request, at Attempt, credentials []Credential) error {
	a.clear(r)
	if len(credentials) != len(a.schemes) {
		return ErrMismatch
	}
	for i, scheme := range a.schemes {
		c := credentials[i].reveal()
		if c.applier == nil || c.kind != scheme.Type() {
			a.clear(r)
			return ErrMismatch
		}
		if err := c.apply(r, at); err != nil {
			a.clear(r)
			return err
		}
	}
	return nil
}

func (a *Auth) clear(r *http.Request) {
	a.headers.Strip(r.Header)
	if a.hasQuery {
		r.URL.RawQuery = withoutParameters(r.URL.RawQuery, a.queries)
	}
	if a.hasCookie {
		dropCookies(r.Header, a.cookies)
	}
}
